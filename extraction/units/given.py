"""What a project says of its units, its edge and its state directory.

    EXTRACTION = {
        …
        "platform": "extraction.units.platform.GivenUnits",
        "state": BASE_DIR / "var",
        "edge": "127.0.0.1:8000",
        "units": {
            "monolith": {"administrator": "MONOLITH_ADMIN_URL", "address": "127.0.0.1:8001"},
            "payments": {"administrator": "PAYMENTS_ADMIN_URL", "login": "PAYMENTS_URL", "address": "127.0.0.1:8002",
                         "command": ["gunicorn", "--bind", "127.0.0.1:8002", "project.wsgi"],
                         "environment": {"UNIT": "payments"}},
        },
    }

`administrator` and `login` name environment variables, for a URL holds a password. The administrator's names the
database where the unit keeps the module; `login` is the role as whom the unit works there, which owns the tables.
A unit's processes get neither an administrator's URL nor another unit's login, unless its `environment` names it.
Without a `command` the unit is started by somebody else. A unit that has a `migrate` command makes its tables itself.
`health` is a path that it answers, `/` by default.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from extraction.platform.errors import ServerUnreachable
from extraction.route.model import Endpoint

KEYS = {"administrator", "login", "address", "command", "migrate", "environment", "health"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as the project gives it."""

    name: str
    administrator: str
    """The environment variable with the URL of its database."""
    login: str
    endpoint: Endpoint
    command: tuple[str, ...]
    migrate: tuple[str, ...]
    environment: Mapping[str, str]
    health: str


def units() -> dict[str, Unit]:
    """By name. Raises ImproperlyConfigured."""
    return {name: _unit(name, each) for name, each in _setting("units", '{"monolith": {…}, …}').items()}


def unit(name: str) -> Unit:
    """Raises ImproperlyConfigured."""
    known = units()
    if name not in known:
        raise ImproperlyConfigured(
            f'EXTRACTION["units"] has no {name!r} (it has {", ".join(sorted(known))}); say where its database is and '
            "where it answers"
        )
    return known[name]


def edge() -> Endpoint:
    """Where customers are answered. Raises ImproperlyConfigured."""
    return _endpoint('EXTRACTION["edge"]', str(_setting("edge", '"127.0.0.1:8000"')))


def state() -> Path:
    """The directory with the edge's files, the processes and the logs. Raises ImproperlyConfigured."""
    return Path(_setting("state", 'BASE_DIR / "var"')).absolute()


def url(variable: str, *, of: str) -> str:
    """The URL in this environment variable, whose path names a database. Raises ServerUnreachable."""
    found = os.environ.get(variable, "")
    if not urlsplit(found).path.strip("/"):
        raise ServerUnreachable(
            f"{variable} {'names no database' if found else 'is not set'}; say where {of} keeps the module: "
            f"export {variable}=postgresql://role:password@host:5432/database"
        )
    return found


def withheld(of: Unit) -> set[str]:
    """Environment variables that its processes do not get: administrators' URLs, and other units' logins."""
    others = {variable for each in units().values() for variable in (each.administrator, each.login)}
    return others - {"", of.login, *of.environment}


def _setting(key: str, example: str) -> Any:
    if not settings.EXTRACTION.get(key):
        raise ImproperlyConfigured(f'EXTRACTION has no "{key}"; add it: "{key}": {example}')
    return settings.EXTRACTION[key]


def _unit(name: str, each: Mapping[str, Any]) -> Unit:
    where = f'EXTRACTION["units"]["{name}"]'
    if unknown := set(each) - KEYS:
        raise ImproperlyConfigured(f"{where} has {', '.join(sorted(unknown))}; it takes {', '.join(sorted(KEYS))}")
    if missing := {"administrator", "address"} - set(each):
        raise ImproperlyConfigured(f"{where} has no {' and no '.join(sorted(missing))}; add it")
    for key in ("administrator", "login"):
        if "/" in str(each.get(key, "")):
            raise ImproperlyConfigured(f"{where}: {key!r} is a URL; put it into an environment variable and name that")
    for key in ("command", "migrate"):
        if isinstance(each.get(key, ()), str):
            raise ImproperlyConfigured(f'{where}: {key!r} is a list of words: ["gunicorn", "--bind", …]')
    return Unit(
        name=name,
        administrator=str(each["administrator"]),
        login=str(each.get("login", "")),
        endpoint=_endpoint(where, str(each["address"])),
        command=tuple(map(str, each.get("command", ()))),
        migrate=tuple(map(str, each.get("migrate", ()))),
        environment={key: str(value) for key, value in each.get("environment", {}).items()},
        health=str(each.get("health", "/")),
    )


def _endpoint(where: str, address: str) -> Endpoint:
    host, _, port = address.rpartition(":")
    try:
        ipaddress.ip_address(host.strip("[]"))
        return Endpoint(host.strip("[]"), int(port))
    except ValueError:
        raise ImproperlyConfigured(
            f"{where}: {address!r} is no address; give an IP address and a port, such as 127.0.0.1:8000"
        ) from None
