"""A platform for a project that has databases, addresses and commands, and no platform of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from extraction import project
from extraction.placement.database import Objects
from extraction.platform.errors import PlatformError, ProcessFailed
from extraction.platform.protocol import Attempts, Routes, Tell
from extraction.route.errors import RouteError
from extraction.units import database, given
from extraction.units.given import Unit
from extraction.units.machine import Machine


class GivenUnits:
    """Works on what EXTRACTION says and `manage.py units` runs. Implements extraction.platform.protocol.Platform."""

    def admin_url(self, unit: str, module: str) -> str:
        """The administrator's URL of the database where this unit keeps the module. Raises PlatformError."""
        with _as_platform_errors():
            return given.url(given.unit(unit).administrator, of=unit)

    def provide_database(self, module: str, *, unit: str, tell: Tell) -> None:
        """The module's tables as they are where it lives, or what the unit's own migrations make."""
        with _as_platform_errors():
            of, target = project.modules()[module], given.unit(unit)
            database.provide(
                of,
                Objects(of.name, of.schema, project.tables(of.name)),
                unit=unit,
                source_url=self.admin_url(of.home, module),
                url=self.admin_url(unit, module),
                login_url=_login_url(target),
                is_empty=bool(target.migrate),
                tell=tell,
            )
            if target.migrate:
                tell(f"Migrations of {unit}")
                _migrate(target)

    def start(self, module: str, *, unit: str, tell: Tell) -> None:
        """The unit's processes, standing by; returns when they answer and the edge knows them."""
        with _as_platform_errors():
            of, machine = given.unit(unit), Machine().attach()
            tell(f"{unit} at {of.endpoint.host}:{of.endpoint.port}")
            machine.start(of)
            machine.envoy().change(lambda routing: routing.with_unit(unit, of.endpoint))

    def retire(self, module: str, *, unit: str, tell: Tell) -> None:
        """Stop the unit's processes, and drop the database and the role that `provide_database` made."""
        if unit == project.unit():
            raise PlatformError(f"{unit} is where the modules come from; stop it where manage.py units runs")
        with _as_platform_errors():
            of, machine = given.unit(unit), Machine().attach()
            machine.envoy().change(lambda routing: routing.without_unit(unit))
            tell(f"Processes of {unit}")
            machine.stop(of)
            tell(f"Database of {unit}")
            database.retire(self.admin_url(unit, module), _login_url(of), unit=unit)

    def seal(self, module: str, *, unit: str, tell: Tell) -> None:
        """Refuses: of a server it knows an address, and cannot see to it that it stays closed."""
        raise PlatformError(
            f"the server of {unit} is yours, and nobody here can see to it that it stays closed; start it, then: "
            f"manage.py extract recall {module}"
        )

    def route(self, routes: Routes) -> None:
        """Send the module's requests so from now on; returns when the edge does."""
        with _as_platform_errors():
            Machine().envoy().change(
                lambda routing: routing.with_module(
                    replace(
                        routing.module(routes.module),
                        home=routes.home,
                        candidate=routes.candidate,
                        candidate_percent=routes.candidate_percent,
                    )
                )
            )

    def routes(self, module: str) -> Routes:
        """As they are now."""
        with _as_platform_errors():
            found = Machine().envoy().routing().module(module)
        return Routes(
            module=module, home=found.home, candidate=found.candidate, candidate_percent=found.candidate_percent
        )

    def waiting(self, module: str, *, unit: str) -> int | None:
        """Nobody here knows the project's broker."""
        return None

    def attempts(self, module: str, *, unit: str) -> Attempts:
        """Reads of the module that were sent to this unit."""
        with _as_platform_errors():
            return Machine().envoy().attempts(module, unit)


def _login_url(unit: Unit) -> str:
    if not unit.login:
        raise PlatformError(
            f'EXTRACTION["units"]["{unit.name}"] has no "login"; name the environment variable with the URL as whom '
            f'{unit.name} works in its database: "login": "{unit.name.upper()}_URL"'
        )
    return given.url(unit.login, of=unit.name)


def _migrate(unit: Unit) -> None:
    program, withheld = shutil.which(unit.migrate[0]) or unit.migrate[0], given.withheld(unit)
    done = subprocess.run(  # noqa: S603
        [program, *unit.migrate[1:]],
        env={name: value for name, value in os.environ.items() if name not in withheld} | dict(unit.environment),
        cwd=Path(getattr(settings, "BASE_DIR", ".")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ProcessFailed(f"the migrations of {unit.name} failed; mend that and try again:\n{done.stderr[-2000:]}")


@contextmanager
def _as_platform_errors() -> Iterator[None]:
    try:
        yield
    except RouteError as error:
        raise ProcessFailed(str(error)) from error
    except ImproperlyConfigured as error:
        raise PlatformError(str(error)) from error
