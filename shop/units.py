"""The units of this machine for the tooling: what `manage.py extract` works on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.conf import settings

from extraction.platform.database import drop_database, drop_roles, with_database
from extraction.platform.errors import PlatformError, ProcessFailed, ServerUnreachable
from extraction.platform.protocol import Attempts, Routes, Tell
from extraction.route.errors import RouteError
from extraction.route.model import ModuleRoutes
from shop import edge, environment, provision
from shop.machine import Machine, postgres_name
from shop.queues import delete_queues, move_tasks, waiting_of
from shop.records import Records, Unit


class LocalPlatform:
    """Works on the shop that `manage.py up` runs, from another process. Raises NotRunning when there is none."""

    def __init__(self) -> None:
        self.state = settings.STATE_DIR.absolute()
        self.given = {name: value for name, value in settings.GIVEN.items() if value}

    def admin_url(self, unit: str, module: str) -> str:
        """The administrator's URL of the database where this unit keeps the module. Raises ServerUnreachable."""
        found = Records(self.state).get(unit)
        if unit != settings.ORIGIN_UNIT:
            return with_database(provision.admin_url(self._machine, found), provision.database_name(unit))
        if found.is_embedded:
            url = self._machine.postgres(unit).url()
        elif "DATABASE_URL" in self.given:
            url = self.given["DATABASE_URL"]
        else:
            raise ServerUnreachable(
                f"the administrator of the server with {module} is not known here; say it as to manage.py up: "
                "DATABASE_URL=postgresql://administrator:password@host/postgres"
            )
        return provision.beside(url, module, environment.read(self.state / "env"))

    def provide_database(self, module: str, *, unit: str, tell: Tell) -> None:
        """A server for the unit, its database, its roles, its empty tables, made by the unit's own migrations."""
        with self._alone(unit) as machine:
            records = machine.records
            found = records.find(unit)
            if found is None:
                is_embedded = provision.target_variable(module) not in self.given
                found = records.keep(Unit(name=unit, modules=(module,), is_embedded=is_embedded))
            if found.stage == "started" and found.is_embedded and postgres_name(unit) in machine.supervisor.pids():
                return
            provision.provide(machine, found, tell=tell)
            if found.stage == "recorded":
                records.keep(replace(found, stage="provided"))

    def start(self, module: str, *, unit: str, tell: Tell) -> None:
        """The unit's processes, standing by; returns when they answer and the edge knows them."""
        with self._alone(unit) as machine:
            found = machine.records.get(unit)
            if found.stage == "recorded":
                raise PlatformError(f"the database of {unit} is not made yet; make it: extract provision {module}")
            running = machine.supervisor.pids()
            if found.stage != "started" or not set(found.processes) <= set(running):
                tell(f"Web server and workers of {unit}")
                found = provision.start(machine, found)
            else:
                machine.wait_for_web(found)
            machine.wait_for_workers(found)
            machine.envoy().change(lambda routing: routing.with_unit(unit, edge.endpoint(found)))

    def retire(self, module: str, *, unit: str, tell: Tell) -> None:
        """Stop the unit's processes and take its server, database, queues and files away."""
        if unit == settings.ORIGIN_UNIT:
            raise PlatformError(f"{unit} is where the modules come from; stop it with Ctrl-C where manage.py up runs")
        with self._alone(unit) as machine:
            folder = machine.records.folder(unit)
            found = machine.records.find(unit)
            if found is not None:
                self._take_away(machine, found, tell)
        shutil.rmtree(folder, ignore_errors=True)

    def seal(self, module: str, *, unit: str, tell: Tell) -> None:
        """End the unit's processes and its server, and close the module in what is left of the latter."""
        if unit == settings.ORIGIN_UNIT:
            raise PlatformError(f"{unit} is where the modules come from: start it again with manage.py up")
        with self._alone(unit) as machine:
            found = machine.records.get(unit)
            if not found.is_embedded:
                raise PlatformError(
                    f"the server of {unit} is yours, and nobody here can see to it that it stays closed; start it, "
                    f"then: manage.py extract recall {module}"
                )
            tell(f"Processes of {unit}")
            machine.end([replace(found, second=second).process(role) for second in (False, True) for role in ROLES])
            machine.end([postgres_name(unit)])
            machine.postgres(unit).seal(module)

    def route(self, routes: Routes) -> None:
        """Send the module's requests so from now on; returns when the edge does."""
        with _as_platform_errors():
            self._machine.envoy().change(
                lambda routing: routing.with_module(
                    ModuleRoutes(
                        module=routes.module,
                        urls=routing.module(routes.module).urls,
                        home=routes.home,
                        candidate=routes.candidate,
                        candidate_percent=routes.candidate_percent,
                    )
                )
            )

    def routes(self, module: str) -> Routes:
        """As they are now."""
        with _as_platform_errors():
            found = self._machine.envoy().routing().module(module)
        return Routes(
            module=module, home=found.home, candidate=found.candidate, candidate_percent=found.candidate_percent
        )

    def waiting(self, module: str, *, unit: str) -> int | None:
        """Tasks of the module in the unit's queues; None for a broker that does not show them."""
        broker = environment.read(self._machine.variables_file(unit)).get("BROKER_URL", "")
        return waiting_of(self.given.get("BROKER_URL", broker), unit, module)

    def attempts(self, module: str, *, unit: str) -> Attempts:
        """Reads of the module that were sent to this unit."""
        with _as_platform_errors():
            return self._machine.envoy().attempts(module, unit)

    def _take_away(self, machine: Machine, found: Unit, tell: Tell) -> None:
        unit = found.name
        machine.envoy().change(lambda routing: routing.without_unit(unit))
        tell(f"Processes of {unit}")
        machine.end([replace(found, second=second).process(role) for second in (False, True) for role in ROLES])
        tell(f"Queues of {unit}")
        broker = environment.read(machine.variables_file(unit)).get("BROKER_URL", "")
        if moved := move_tasks(broker, unit, to=settings.ORIGIN_UNIT):
            tell(f"{moved} tasks that waited there go to {settings.ORIGIN_UNIT}")
        delete_queues(broker, unit)
        tell(f"Database of {unit}")
        if found.is_embedded:
            machine.end([postgres_name(unit)])
        else:
            url = provision.admin_url(machine, found)
            drop_database(url, provision.database_name(unit))
            drop_roles(url, list(provision.roles(found).values()))
        # The record is the last file to go: a kill before that leaves a unit to retire.
        for path in machine.records.folder(unit).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        machine.variables_file(unit).unlink(missing_ok=True)
        machine.records.forget(unit)

    @property
    def _machine(self) -> Machine:
        return Machine.attached(self.state, given=self.given)

    @contextmanager
    def _alone(self, unit: str) -> Iterator[Machine]:
        """The machine, while nobody deploys or changes the unit."""
        machine = self._machine
        with _as_platform_errors(), machine.alone(unit):
            yield machine


ROLES = ("web", "worker", "errands")


@contextmanager
def _as_platform_errors() -> Iterator[None]:
    try:
        yield
    except RouteError as error:
        raise ProcessFailed(str(error)) from error
