"""The shop as a whole on this machine: server, databases, web and worker, started side by side and stopped together."""

import errno
import math
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

from django.conf import settings
from kombu import Connection

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
from extraction.platform.errors import BrokerAway, NoServer, ProcessFailed
from extraction.platform.local.lock import locked
from extraction.platform.local.ports import check_port, free_port
from extraction.platform.local.postgres import Postgres
from extraction.platform.local.supervision import Process, Supervisor, end_leftovers, tethered
from shop import environment

DATABASE, BROKER_DATABASE = "shop", "shop_broker"
WORKER_PROCESSES = 2
ERRAND_THREADS = 4
"""They wait for somebody outside, so threads do."""
WORKERS = {
    "worker": (settings.UNIT, ("--beat", "--concurrency", str(WORKER_PROCESSES))),
    "errands": (settings.ERRANDS_QUEUE, ("--pool", "threads", "--concurrency", str(ERRAND_THREADS))),
}
"""Queue and options of each."""
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
        self.host, self.port = host, port or free_port(host)
        self.workers, self.threads = workers, threads
        self.debug, self.seed = debug, seed
        self.given = {name: value for name, value in (settings.GIVEN if given is None else given).items() if value}
        self.warnings: list[str] = []
        self._step = step
        self._supervisor = Supervisor(self.state, directory=settings.BASE_DIR)
        self._postgres = None if "DATABASE_URL" in self.given else Postgres(self.state / "postgres")
        self._exit = ExitStack()
        self._stopping = False
        self._interrupted_at = -math.inf

    @property
    def url(self) -> str:
        """Where it answers, without a slash at the end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::", "") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """For a program that works on this shop: manage.py, the load. Without the administrator's URL."""
        return {
            **{name: value for name, value in self.given.items() if name != "DATABASE_URL"},
            "SHOP_STATE_DIR": str(self.state),
            "SHOP_ENV_FILE": str(self._variables),
            "DJANGO_SETTINGS_MODULE": "shop.settings",
        }

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
        """The pid of each supervised process that runs, by name: postgres, web, worker, what was added."""
        return self._supervisor.pids()

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash would; the supervisor starts it again."""
        self._supervisor.kill(name)

    def restart(self, name: str) -> None:
        """Stop gracefully and start again."""
        self._supervisor.restart(name)

    def add(self, process: Process) -> None:
        """Supervise one more process, with the shop's environment."""
        self._supervisor.add(process)

    def wait_until_healthy(self, *, timeout_s: float = 60) -> None:
        """Return when the web server reaches all its databases, however often it is started meanwhile."""
        self._wait_until_healthy(timeout_s, check=self._supervisor.status)

    def wait_for_workers(self, *, timeout_s: float = 60) -> None:
        """Return when the workers take tasks, a few seconds after the first page. Raises ProcessFailed."""
        end = time.monotonic() + timeout_s
        while missing := [name for name in WORKERS if not self._ready(name).exists()]:
            self._supervisor.check(missing[0])
            if time.monotonic() > end:
                raise ProcessFailed(
                    f"{missing[0]} takes no tasks after {timeout_s:g} s; see {self._supervisor.log}/{missing[0]}.log"
                )
            time.sleep(0.02)

    def watch(self, *, every_s: float = 0.5) -> Iterator[str]:
        """What happens to the processes, one sentence each, for as long as they are supervised."""
        known = self.processes()
        while True:
            time.sleep(every_s)
            for status in self._supervisor.status():
                if status.state == "FATAL":
                    raise ProcessFailed(
                        f"{status.name} ends whenever it is started. The end of its log:\n"
                        f"{self._supervisor.tail(status.name)}"
                    )
                if status.pid and status.pid != known.get(status.name):
                    known[status.name] = status.pid
                    yield f"{status.name} was started again; {self._supervisor.log}/{status.name}.log says why"

    def _interrupt(self, number: int, frame: object) -> None:
        """Once: terminal and wrapper (`uv run`) may both pass a Ctrl-C on, and stopping is not to be broken off."""
        if self._stopping or time.monotonic() - self._interrupted_at < 1:
            return
        self._interrupted_at = time.monotonic()
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    def _start(self) -> None:
        self._exit.enter_context(locked(self.state))
        end_leftovers(self._supervisor.run)
        check_port(self.port, self.host)
        if self._postgres is not None:
            self._postgres.claim()
        admin_url = self._postgres.url() if self._postgres else self.given["DATABASE_URL"]
        if self._postgres is None:
            with self._step("Server"):
                self.warnings += check_server(admin_url, connections=self._most_connections())
        owners, urls = self._databases(admin_url)
        everyone = owners + [_owner(schema, urls[_variable(schema)]) for schema in self._schemas_of_the_environment()]
        self._write_environment(urls)
        self._migrated.unlink(missing_ok=True)
        (self.state / "static").mkdir(exist_ok=True)

        self._supervisor.start(environment=self.environment)
        self._exit.callback(self._supervisor.stop)
        with self._preparation() as prepare:
            self._start_web()
            if self._postgres is not None:
                with self._step("PostgreSQL"):
                    self._start_postgres(self._postgres)
            with self._step("Roles, schemas and broker"):
                provide_database(admin_url, name=DATABASE, owners=owners)
                for url in {urls[_variable(owner.schema)] for owner in everyone}:
                    check_isolation(url, everyone)
                self._provide_broker(admin_url, urls)
            with self._step("Migrations and demo data" if self.seed else "Migrations"):
                self._finish(prepare)
        self._migrated.touch()
        self._start_workers()
        with self._step("First answer"):
            self._wait_until_healthy(60, check=lambda: self._supervisor.check("web"))

    def _wait_until_healthy(self, timeout_s: float, *, check: Callable[[], object]) -> None:
        end = time.monotonic() + timeout_s
        while (answer := _status_of(f"{self.url}/healthz")) != 200:
            check()
            if time.monotonic() > end:
                raise ProcessFailed(
                    f"{self.url}/healthz answers {answer or 'nothing'} after {timeout_s:g} s; see "
                    f"{self._supervisor.log}/web.log"
                )
            time.sleep(0.02)

    def _most_connections(self) -> int:
        """Each web thread and worker process keeps one for each database; the rest is the broker's."""
        return (self.workers * self.threads + WORKER_PROCESSES + 1 + ERRAND_THREADS) * len(settings.DATABASES) + 10

    @property
    def _variables(self) -> Path:
        return self.state / "env"

    @property
    def _migrated(self) -> Path:
        """The web server waits for this file before it opens its port."""
        return self._supervisor.run / "migrated"

    @property
    def _temporary(self) -> Path:
        """Celery's pool leaves files behind when it is killed; the next start takes them away."""
        return self._supervisor.run / "tmp"

    def _ready(self, worker: str) -> Path:
        """The worker makes this file when it takes tasks."""
        return self._supervisor.run / f"{worker}.ready"

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
            },
        )

    def _start_web(self) -> None:
        """It reads its imports while the server starts, and opens its port when it is let in."""
        self._supervisor.wait()
        self._supervisor.add(
            Process(
                name="web",
                command=(sys.executable, "-m", "gunicorn", "--config", "python:shop.serving", "shop.wsgi"),
                environment={
                    "SHOP_WAIT_FOR": str(self._migrated),
                    "WEB_BIND": f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}",
                    "WEB_WORKERS": str(self.workers),
                    "WEB_THREADS": str(self.threads),
                },
            )
        )

    def _start_postgres(self, postgres: Postgres) -> None:
        postgres.prepare()
        self._supervisor.add(postgres.process())
        postgres.wait(check=lambda: self._supervisor.check("postgres"))

    def _start_workers(self) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir()
        for name, (queue, options) in WORKERS.items():
            self._ready(name).unlink(missing_ok=True)
            self._supervisor.add(
                Process(
                    name=name,
                    command=(
                        *(sys.executable, "-m", "celery", "--app", "shop.celery", "worker"),
                        *("--queues", queue, "--hostname", f"{queue}@local", *options),
                        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
                    ),
                    environment={"SHOP_READY_FILE": str(self._ready(name)), "TMPDIR": str(self._temporary)},
                )
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


def _status_of(url: str) -> int:
    """The status that this URL answers with; 0 when nobody does."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
