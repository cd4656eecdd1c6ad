"""The shop as a whole on this machine: server, databases, web and worker, started side by side and stopped together."""

import errno
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from django.conf import settings
from kombu import Connection

from extraction.deploys.records import Deploy, deploys_in
from extraction.platform.database import (
    Owner,
    check_isolation,
    check_server,
    connect,
    provide_broker,
    provide_database,
    with_login,
    without_password,
)
from extraction.platform.errors import BadAddress, BrokerAway, NoServer, ProcessFailed
from extraction.platform.local.lock import locked
from extraction.platform.local.ports import check_number, check_port, free_port, own_address
from extraction.platform.local.postgres import Postgres
from extraction.platform.local.supervision import Process, Supervisor, end_leftovers, tethered
from extraction.platform.protocol import Tell
from extraction.route.errors import RoutingError
from shop import edge, environment
from shop.edge import Address
from shop.machine import Machine, postgres_name, wait_for_answer
from shop.processes import ERRAND_THREADS, temporary
from shop.provision import bring_back
from shop.records import Unit
from shop.rollout import DEPLOYS, roll_out

DATABASE, BROKER_DATABASE = "shop", "shop_broker"
WORKER_PROCESSES = 2
PLATFORM = "platform"
"""The schema of what belongs to no module: sessions, content types."""

Step = Callable[[str], AbstractContextManager[object]]


class Shop:
    """`with Shop(state) as shop:` serves at `shop.url`, migrated and seeded, until the block ends.

    Enter it in the main thread: the processes end with the thread that started them. Raises PlatformError, and then
    nothing is left running. `given` is the environment, by default that of this process without var/env.
    """

    def __init__(
        self,
        state: Path,
        *,
        port: int = 8000,
        host: str = "127.0.0.1",
        workers: int = 2,
        threads: int = 8,
        debug: bool = False,
        seed: bool = True,
        given: Mapping[str, str] | None = None,
        step: Step = lambda name: nullcontext(),
    ) -> None:
        self.state = state.absolute()
        if workers < 1:
            raise BadAddress(f"{workers} web processes serve nobody; start at least one: --workers 1")
        check_number(port)
        self.host, address = host, own_address(host)
        self.port = port or free_port(address)
        self.workers, self.threads = workers, threads
        self.debug, self.seed = debug, seed
        self.given = {name: value for name, value in (settings.GIVEN if given is None else given).items() if value}
        self.warnings: list[str] = []
        self._step = step
        self._address = Address(address, self.port)
        self._supervisor = Supervisor(self.state, directory=settings.BASE_DIR)
        self._machine = Machine(self.state, self._supervisor, given=self.given)
        self._postgres = None if "DATABASE_URL" in self.given else Postgres(self.state / "postgres")
        self._exit = ExitStack()
        self._stopping = False
        self._interrupted_at = -math.inf

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        return self._address.url

    @property
    def web_port(self) -> int:
        """Where the shop's own web server listens, behind the edge."""
        return self._unit.port

    @property
    def environment(self) -> dict[str, str]:
        """For a program that works on this shop: manage.py, the load. Without the administrator's URL."""
        return self.environment_of(settings.ORIGIN_UNIT)

    def environment_of(self, unit: str) -> dict[str, str]:
        """For a program that works as this unit."""
        return self._machine.environment(unit)

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._exit.callback(signal.signal, number, signal.signal(number, self._interrupt))
        try:
            self._start()
        except BaseException as error:
            self.__exit__()
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise NoServer(
                    f"no room is left in {self.state}; free some, or point SHOP_STATE_DIR at another disk"
                ) from error
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._exit.close()

    def processes(self) -> dict[str, int]:
        """The pid of each supervised process that runs, by name: envoy, postgres, web, worker-inventory.

        Of two releases of a process the one that took over has the plain name.
        """
        plain = self._names()
        plain |= {name: role for role, name in plain.items()}  # while both run they change names, and none is lost
        return {plain.get(name, name): pid for name, pid in self._supervisor.pids().items()}

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash would; the supervisor starts it again."""
        self._supervisor.kill(self._names().get(name, name))

    def restart(self, name: str) -> None:
        """Stop gracefully and start again."""
        self._supervisor.restart(self._names().get(name, name))

    def add(self, process: Process) -> None:
        """Supervise one more process, with the shop's environment."""
        self._supervisor.add(process)

    def deploy(self, unit: str = settings.ORIGIN_UNIT, *, tell: Tell = lambda sentence: None) -> Deploy:
        """Replace the unit's processes by new ones, without a failed request. A start that fails is an outcome."""
        return roll_out(self._machine, unit, tell=tell)

    def deploys(self) -> list[Deploy]:
        """Those on record, the oldest first."""
        return deploys_in(self.state / DEPLOYS)

    def wait_until_healthy(self, *, timeout_s: float = 60) -> None:
        """Return when the shop answers at the edge and reaches all its databases, however often it is started."""
        self._wait_until_healthy(timeout_s, check=self._supervisor.status)

    def wait_for_workers(self, *, timeout_s: float = 60) -> None:
        """Return when the workers take tasks, a few seconds after the first page. Raises ProcessFailed."""
        self._machine.wait_for_workers(self._unit, timeout_s=timeout_s)

    def watch(self, *, every_s: float = 0.5) -> Iterator[str]:
        """What happens to the processes, one sentence each, for as long as they are supervised."""
        known = self._supervisor.pids()
        given_up: set[str] = set()
        while True:
            time.sleep(every_s)
            there = self._supervisor.status()
            for status in there:
                if status.state == "FATAL" and status.name not in given_up:
                    given_up.add(status.name)
                    yield self._gave_up(status.name)
                if status.pid and status.pid != known.get(status.name):
                    again = status.name in known
                    known[status.name] = status.pid
                    log = f"{self._supervisor.log}/{status.name}.log"
                    yield f"{status.name} was started again; {log} says why" if again else f"{status.name} was started"
            for name in set(known) - {status.name for status in there}:
                del known[name]
                yield f"{name} was taken away"

    @property
    def _unit(self) -> Unit:
        return self._machine.records.get(settings.ORIGIN_UNIT)

    def _names(self) -> dict[str, str]:
        """The name that each process has in its unit's present release, by its name in the first."""
        return {
            name: now
            for unit in self._machine.records.all()
            for name, now in zip(replace(unit, second=False).processes, unit.processes, strict=True)
        }

    def _gave_up(self, name: str) -> str:
        """Without a process of its own the shop ends; without another unit's it goes on."""
        said = f"{name} ends whenever it is started. The end of its log:\n{self._supervisor.tail(name)}"
        others = [unit for unit in self._machine.records.all() if unit.name != settings.ORIGIN_UNIT]
        if any(name in (*unit.processes, postgres_name(unit.name)) for unit in others):
            return said
        raise ProcessFailed(said)

    def _interrupt(self, number: int, frame: object) -> None:
        """Once: terminal and wrapper (`uv run`) may both pass a Ctrl-C on, and stopping is not to be broken off."""
        if self._stopping or time.monotonic() - self._interrupted_at < 1:
            return
        self._interrupted_at = time.monotonic()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _start(self) -> None:
        self._exit.enter_context(locked(self.state))
        end_leftovers(self._supervisor.run)
        check_port(self.port, self._address.host)
        self._address = edge.claim(self.state, host=self._address.host, port=self.port)
        if self._postgres is not None:
            self._postgres.claim()
        admin_url = self._postgres.url() if self._postgres else self.given["DATABASE_URL"]
        if self._postgres is None:
            with self._step("Server"):
                self.warnings += check_server(admin_url, connections=self._most_connections())
        owners, urls = self._databases(admin_url)
        everyone = owners + [_owner(schema, urls[_variable(schema)]) for schema in self._schemas_of_the_environment()]
        self._write_environment(urls)
        for marker in (self._migrated, self._machine.started):
            marker.unlink(missing_ok=True)
        (self.state / "static").mkdir(exist_ok=True)
        shutil.rmtree(temporary(self._supervisor.run), ignore_errors=True)
        unit, others = self._record(), self._others()

        self._supervisor.start(environment=self.environment)
        self._exit.callback(self._supervisor.stop)
        with self._preparation() as prepare:
            self._supervisor.wait()
            self._start_edge([unit, *others])
            self._machine.start_web(unit, wait_for=self._migrated)
            if self._postgres is not None:
                with self._step("PostgreSQL"):
                    self._machine.start_postgres(unit.name)
            with self._step("Roles, schemas and broker"):
                provide_database(admin_url, name=DATABASE, owners=owners)
                for url in {urls[_variable(owner.schema)] for owner in everyone}:
                    check_isolation(url, everyone)
                self._provide_broker(admin_url, urls)
            with self._step("Migrations and demo data" if self.seed else "Migrations"):
                self._finish(prepare)
        self._migrated.touch()
        self._machine.start_workers(unit)
        with self._step("First answer"):
            self._wait_until_healthy(60, check=self._check)
        for other in others:
            with self._step(f"Unit {other.name}"), self._machine.alone(other.name):
                bring_back(self._machine, other)
        self._machine.started.touch()

    def _record(self) -> Unit:
        """The shop's own unit, on record as it is about to start."""
        records = self._machine.records
        former = records.find(settings.ORIGIN_UNIT)
        return records.keep(
            Unit(
                name=settings.ORIGIN_UNIT,
                modules=tuple(settings.MODULES),
                stage="started",
                is_embedded=self._postgres is not None,
                web_processes=self.workers,
                web_threads=self.threads,
                worker_processes=WORKER_PROCESSES,
                port=free_port(),
                number=former.number + 1 if former else 1,
            )
        )

    def _others(self) -> list[Unit]:
        """The other units whose databases are there, as they are about to start."""
        records = self._machine.records
        return [
            records.keep(replace(unit, port=free_port(), number=unit.number + 1, second=False))
            for unit in records.all()
            if unit.name != settings.ORIGIN_UNIT and unit.stage != "recorded"
        ]

    def _start_edge(self, units: list[Unit]) -> None:
        envoy = edge.envoy(self.state, self._address)
        try:
            former = envoy.routing()
        except RoutingError:
            former = None
        envoy.write(edge.routing(former, [unit for unit in units if unit.stage == "started"]))
        self._supervisor.add(envoy.process())

    def _wait_until_healthy(self, timeout_s: float, *, check: Callable[[], object]) -> None:
        wait_for_answer(
            f"{self.url}/healthz", timeout_s=timeout_s, check=check, log=self._supervisor.log / f"{self._unit.web}.log"
        )

    def _check(self) -> None:
        for name in ("envoy", "web"):
            self._supervisor.check(name)

    def _most_connections(self) -> int:
        """Each web thread and worker process keeps one for each database; the rest is the broker's."""
        return (self.workers * self.threads + WORKER_PROCESSES + 1 + ERRAND_THREADS) * len(settings.DATABASES) + 10

    @property
    def _variables(self) -> Path:
        return self._machine.variables_file(settings.ORIGIN_UNIT)

    @property
    def _migrated(self) -> Path:
        """The web server waits for this file before it opens its port."""
        return self._supervisor.run / "migrated"

    def _schemas_of_the_environment(self) -> list[str]:
        """Those whose databases somebody else provides."""
        return [schema for schema in (*settings.MODULES, PLATFORM) if _variable(schema) in self.given]

    def _databases(self, admin_url: str) -> tuple[list[Owner], dict[str, str]]:
        """The roles to make and the URLs of all schemas and of the broker; those of the environment are left alone."""
        known = environment.read(self._variables)
        owners, urls = [], {}
        for schema in self._schemas_of_the_environment():
            urls[_variable(schema)] = self.given[_variable(schema)]
        for schema in sorted({*settings.MODULES, PLATFORM}.difference(self._schemas_of_the_environment())):
            variable = _variable(schema)
            owner = Owner(schema, role=f"shop_{schema}", password=environment.password(known.get(variable, "")))
            owners.append(owner)
            urls[variable] = with_login(admin_url, role=owner.role, password=owner.password, database=DATABASE)
        urls["BROKER_URL"] = self.given.get("BROKER_URL") or with_login(
            admin_url,
            role="shop_broker",
            password=environment.password(known.get("BROKER_URL", "")),
            database=BROKER_DATABASE,
            scheme="pgmq",
        )
        return owners, urls

    def _write_environment(self, urls: Mapping[str, str]) -> None:
        known = environment.read(self._variables)
        environment.write(
            self._variables,
            {
                **environment.secrets_of_the_shop(known),
                **urls,
                "ALLOWED_HOSTS": ",".join(dict.fromkeys(["127.0.0.1", "localhost", "[::1]", self.host])),
                "BEHIND_HTTPS": "0",
                "CONTRACTS_STRICT": "1",
                "DEBUG": "1" if self.debug else "0",
                "DEBUG_TOOLBAR": "1" if self.debug else "0",
                "GUARDS": "raise",
                "PAYMENT_CALLBACK_URL": f"{self.url}/api/payments/callbacks/",
                "UNITS_URL": self._address.units_url,
            },
        )

    @contextmanager
    def _preparation(self) -> Iterator[subprocess.Popen[str]]:
        """The program that migrates and seeds, waiting for its line."""
        log = self._supervisor.log / "prepare.log"
        with log.open("w") as output:
            prepare = subprocess.Popen(  # noqa: S603
                [
                    *tethered("prepare", run=self._supervisor.run),
                    *(sys.executable, "-m", "shop.prepare"),
                    *(["--seed"] if self.seed else []),
                ],
                cwd=settings.BASE_DIR,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        try:
            yield prepare
        finally:
            if prepare.poll() is None:
                prepare.terminate()
                prepare.wait()

    def _finish(self, prepare: subprocess.Popen[str]) -> None:
        prepare.communicate("go\n")
        if prepare.returncode:
            raise ProcessFailed(
                f"migrating or seeding failed. The end of {self._supervisor.log}/prepare.log:\n"
                f"{self._supervisor.tail('prepare')}"
            )

    def _provide_broker(self, admin_url: str, urls: Mapping[str, str]) -> None:
        if "BROKER_URL" not in self.given:
            provide_broker(
                admin_url,
                name=BROKER_DATABASE,
                role="shop_broker",
                password=environment.password(urls["BROKER_URL"]),
            )
        else:
            check_broker(urls["BROKER_URL"])


def _variable(schema: str) -> str:
    return f"{schema.upper()}_DATABASE_URL"


def _owner(schema: str, url: str) -> Owner:
    return Owner(schema, role=unquote(urlsplit(url).username or ""), password=environment.password(url))


def check_broker(url: str) -> None:
    """Raise BrokerAway if nobody answers there."""
    scheme, _, rest = url.partition("://")
    try:
        if scheme == "pgmq":
            connect(f"postgresql://{rest}").close()  # its transport would wait for half a minute
            return
        with Connection(url, connect_timeout=3) as connection:
            connection.ensure_connection(max_retries=1, timeout=4)
    except Exception as error:
        raise BrokerAway(
            f"BROKER_URL {without_password(url)} does not answer ({type(error).__name__}: {error}); start it and check "
            "its user and password, or leave BROKER_URL out and use the embedded one"
        ) from None
