"""A unit of its own for a module: server, database, roles, variables, tables; and its processes."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from django.conf import settings

from extraction.platform.database import (
    Owner,
    check_isolation,
    check_server,
    provide_database,
    with_database,
    with_login,
)
from extraction.platform.errors import ServerUnreachable
from extraction.platform.local.ports import free_port
from extraction.platform.protocol import Tell
from shop import environment
from shop.machine import Machine
from shop.records import Unit

COPIED = (
    *("ALLOWED_HOSTS", "BEHIND_HTTPS", "BROKER_URL", "CONTRACTS_STRICT", "DEBUG", "GUARDS", "SECRET_KEY", "UNITS_URL"),
    *("IDENTITY_PUBLIC_KEYS", "SERVICE_PUBLIC_KEYS", "SERVICE_SIGNING_KEY"),
)
"""What every unit is told as the shop is."""
COPIED_FOR = {"users": ("IDENTITY_SIGNING_KEY",), "payments": ("PAYMENT_CALLBACK_URL", "PAYMENT_WEBHOOK_SECRET")}
"""And what only the unit with this module is."""


def target_variable(module: str) -> str:
    """Names the administrator's URL of a server for the module's unit, in place of an embedded one."""
    return f"{module.upper()}_TARGET_DATABASE_URL"


def database_name(unit: str) -> str:
    return f"shop_{unit}"


def roles(unit: Unit) -> dict[str, str]:
    """The unit's roles by schema. Their names are no one else's, for the server may be the shop's own."""
    return {
        **{module: f"shop_{unit.name}_{module}" for module in unit.modules},
        "platform": f"shop_{unit.name}_platform",
    }


def admin_url(machine: Machine, unit: Unit) -> str:
    """The administrator's URL of the unit's server. Raises ServerUnreachable where nobody told it."""
    if unit.is_embedded:
        return machine.postgres(unit.name).url()
    variable = target_variable(unit.modules[0])
    if variable not in machine.given:
        raise ServerUnreachable(
            f"{unit.name} has a server of its own, whose administrator is not known here; say it again: "
            f"{variable}=postgresql://administrator:password@host/postgres"
        )
    return machine.given[variable]


def provide(machine: Machine, unit: Unit, *, tell: Tell) -> None:
    """Server, database, roles, variables and tables, as far as they are not there."""
    if unit.is_embedded:
        tell(f"PostgreSQL of {unit.name}")
        machine.start_postgres(unit.name)
    url = admin_url(machine, unit)
    for warning in check_server(url):
        tell(warning)
    tell(f"Database and roles of {unit.name}")
    known = environment.read(machine.variables_file(unit.name))
    owners = [
        Owner(schema, role=role, password=environment.password(known.get(_variable(schema), "")))
        for schema, role in roles(unit).items()
    ]
    provide_database(url, name=database_name(unit.name), owners=owners)
    check_isolation(with_database(url, database_name(unit.name)), owners)
    write_variables(
        machine,
        unit,
        {
            _variable(owner.schema): with_login(
                url, role=owner.role, password=owner.password, database=database_name(unit.name)
            )
            for owner in owners
        },
    )
    tell(f"Migrations of {unit.name}")
    machine.migrate(unit.name)


def write_variables(machine: Machine, unit: Unit, databases: dict[str, str]) -> None:
    """The unit's own file: what it needs, and no secret of another."""
    shop = {**environment.read(machine.variables_file(settings.ORIGIN_UNIT)), **machine.given}
    told = (*COPIED, *(name for module in unit.modules for name in COPIED_FOR.get(module, ())))
    environment.write(
        machine.variables_file(unit.name),
        {
            **{name: shop.get(name, "") for name in told},
            **databases,
            # A new database says so of the module, until it is told otherwise by replication.
            **{f"{module.upper()}_HOME": settings.ORIGIN_UNIT for module in unit.modules},
            "DEBUG_TOOLBAR": "0",
            "ORIGIN_UNIT": settings.ORIGIN_UNIT,
            "SHOP_MODULES": ",".join(unit.modules),
            "SHOP_UNIT": unit.name,
        },
    )


def start(machine: Machine, unit: Unit) -> Unit:
    """Start the unit's processes anew and return when it answers."""
    unit = machine.records.keep(replace(unit, stage="started", port=free_port(), number=unit.number + 1, second=False))
    machine.start_web(unit)
    machine.start_workers(unit)
    machine.wait_for_web(unit)
    return unit


def bring_back(machine: Machine, unit: Unit) -> None:
    """Start a unit that is on record, with the shop's ports of today; its server only while it was not started yet."""
    if unit.is_embedded or target_variable(unit.modules[0]) in machine.given:
        provide(machine, unit, tell=lambda sentence: None)
    else:
        known = environment.read(machine.variables_file(unit.name))
        write_variables(machine, unit, {_variable(schema): known[_variable(schema)] for schema in roles(unit)})
    if unit.stage == "started":
        machine.start_web(unit)
        machine.start_workers(unit)
        machine.wait_for_web(unit)


def beside(url: str, module: str, variables: Mapping[str, str]) -> str:
    """This administrator's URL of the database where the module is. Raises ServerUnreachable if it is elsewhere."""
    owners = urlsplit(variables[_variable(module)])
    if owners.netloc.rpartition("@")[2] != urlsplit(url).netloc.rpartition("@")[2]:
        raise ServerUnreachable(
            f"{module} is on {owners.hostname}, whose administrator is not known here; leave {_variable(module)} "
            "out and let manage.py up make its database, with DATABASE_URL if it is to be on that server"
        )
    return with_database(url, unquote(owners.path[1:]))


def _variable(schema: str) -> str:
    return f"{schema.upper()}_DATABASE_URL"
