"""What `up`, a deploy and a migration share: the units of a state directory, their processes, their variables."""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from django.conf import settings

from extraction.platform.errors import NotRunning, ProcessFailed
from extraction.platform.local.lock import locked
from extraction.platform.local.postgres import Postgres
from extraction.platform.local.supervision import Supervisor, tethered
from shop import edge, environment, processes
from shop.records import Records, Unit

if TYPE_CHECKING:
    from extraction.route.envoy import Envoy

PATIENCE_S = 180.0
"""For a process that starts on a busy machine; one that ends by itself is not waited for."""
WITHHELD = ("DATABASE_URL", "IDENTITY_SIGNING_KEY", "PAYMENT_CALLBACK_URL", "PAYMENT_WEBHOOK_SECRET")
"""What a unit is not told unless its own variables say so, whatever stands in the environment of `up`."""


class Machine:
    """A state directory and the supervisor of its processes, this process's own or another's.

    `given` is the environment without what stands in the state directory.
    """

    def __init__(self, state: Path, supervisor: Supervisor, *, given: Mapping[str, str]) -> None:
        self.state = state
        self.supervisor = supervisor
        self.given = given
        self.records = Records(state)

    @classmethod
    def attached(cls, state: Path, *, given: Mapping[str, str]) -> Self:
        """To what another process runs. Raises NotRunning, also while that one starts."""
        machine = cls(state, Supervisor(state, directory=settings.BASE_DIR).attach(), given=given)
        if not machine.started.exists():
            raise NotRunning(f"manage.py up is still starting in {state}; wait until it answers, then again")
        return machine

    @property
    def started(self) -> Path:
        """Is there while `up` has started everything."""
        return self.supervisor.run / "started"

    def envoy(self) -> "Envoy":
        """The edge. Raises NotRunning."""
        return edge.envoy(self.state, edge.address(self.state))

    def alone(self, unit: str) -> AbstractContextManager[None]:
        """Nobody else starts, deploys or retires the unit meanwhile. Raises AlreadyRunning."""
        return locked(self.records.folder(unit), remedy="or wait until it is done")

    def variables_file(self, unit: str) -> Path:
        """Where the unit's variables stand; they hold secrets."""
        return self.state / "env" if unit == settings.ORIGIN_UNIT else self.records.folder(unit) / "env"

    def variables(self, unit: str) -> dict[str, str]:
        """What is added to the environment of a unit's process. Its own variables win over what `up` was given."""
        files = {"SHOP_STATE_DIR": str(self.state), "SHOP_ENV_FILE": str(self.variables_file(unit))}
        if unit == settings.ORIGIN_UNIT:
            return files
        withheld = dict.fromkeys((*WITHHELD, *(f"{name.upper()}_DATABASE_URL" for name in settings.ALL_MODULES)), "")
        return {**withheld, **environment.read(self.variables_file(unit)), **files}

    def environment(self, unit: str) -> dict[str, str]:
        """For a program that works as this unit. Without the administrator's URL."""
        given = {name: value for name, value in self.given.items() if name != "DATABASE_URL"}
        return {**given, "DJANGO_SETTINGS_MODULE": "shop.settings", **self.variables(unit)}

    def migrate(self, unit: str) -> None:
        """Run the unit's migrations, as the unit. Raises ProcessFailed."""
        name = f"prepare-{unit}"
        with (self.supervisor.log / f"{name}.log").open("w") as output:
            done = subprocess.run(  # noqa: S603
                [*tethered(name, run=self.supervisor.run), *(sys.executable, "-m", "shop.prepare")],
                cwd=settings.BASE_DIR,
                env=self.environment(unit),
                input="go\n",
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        if done.returncode:
            raise ProcessFailed(
                f"the migrations of {unit} failed. The end of {self.supervisor.log}/{name}.log:\n"
                f"{self.supervisor.tail(name)}"
            )

    def postgres(self, unit: str) -> Postgres:
        """The unit's embedded server."""
        folder = self.state if unit == settings.ORIGIN_UNIT else self.records.folder(unit)
        return Postgres(folder / "postgres")

    def start_postgres(self, unit: str) -> Postgres:
        """Make the unit's server if need be, and return when it answers."""
        name = postgres_name(unit)
        postgres = self.postgres(unit)
        postgres.prepare()
        self.supervisor.add(postgres.process(name))
        postgres.wait(check=lambda: self.supervisor.check(name))
        return postgres

    def start_web(self, unit: Unit, *, wait_for: Path | None = None) -> None:
        """Start the unit's web processes."""
        self.supervisor.add(processes.web(unit, environment=self.variables(unit.name), wait_for=wait_for))

    def start_workers(self, unit: Unit) -> None:
        """Start the unit's worker processes."""
        processes.temporary(self.supervisor.run).mkdir(exist_ok=True)
        for process in processes.workers(unit, environment=self.variables(unit.name), run=self.supervisor.run):
            processes.ready_file(self.supervisor.run, process.name).unlink(missing_ok=True)
            self.supervisor.add(process)

    def wait_for_web(self, unit: Unit, *, timeout_s: float = PATIENCE_S) -> None:
        """Return when the unit reaches its databases, asked directly. Raises ProcessFailed."""
        wait_for_answer(
            f"http://127.0.0.1:{unit.port}/healthz",
            timeout_s=timeout_s,
            check=lambda: self.supervisor.check(unit.web),
            log=self.supervisor.log / f"{unit.web}.log",
        )

    def wait_for_workers(self, unit: Unit, *, timeout_s: float = PATIENCE_S) -> None:
        """Return when the unit's workers take tasks. Raises ProcessFailed."""
        end = time.monotonic() + timeout_s
        run, log = self.supervisor.run, self.supervisor.log
        while missing := [name for name in unit.workers if not processes.ready_file(run, name).exists()]:
            self.supervisor.check(missing[0])
            if time.monotonic() > end:
                raise ProcessFailed(
                    f"{missing[0]} takes no tasks after {timeout_s:g} s; see {log}/{missing[0]}.log, then try again"
                )
            time.sleep(0.02)

    def end(self, names: list[str]) -> None:
        """Stop these processes at the same time, gracefully, and forget them."""
        self.supervisor.stop_processes(names)
        for name in names:
            self.supervisor.remove(name)


def postgres_name(unit: str) -> str:
    """The process of the unit's server."""
    return "postgres" if unit == settings.ORIGIN_UNIT else f"postgres-{unit}"


def wait_for_answer(url: str, *, timeout_s: float, check: Callable[[], object], log: Path) -> None:
    """Return when this URL answers 200. Raises ProcessFailed, and what `check` raises meanwhile."""
    end = time.monotonic() + timeout_s
    while (answer := status_of(url)) != 200:
        check()
        if time.monotonic() > end:
            raise ProcessFailed(f"{url} answers {answer or 'nothing'} after {timeout_s:g} s; see {log}")
        time.sleep(0.02)


def status_of(url: str) -> int:
    """The status that this URL answers with; 0 when nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
