"""Two servers, and on them the two databases of a migration with real tables and rows."""

import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psycopg
import pytest
from psycopg import Connection, sql

from extraction.platform.database import Owner, drop_database, provide_database, with_login
from extraction.platform.local.postgres import Postgres
from extraction.queries import Queries
from extraction.replicate.pair import Pair, Side
from extraction.replicate.stream import follow, prepare, start

if TYPE_CHECKING:
    from tests.extraction.commands import Project

MODULE, SCHEMA, ROLE = "inventory", "inventory", "shop_inventory"
UNITS = ("monolith", "inventory")
PASSWORD = secrets.token_urlsafe(16)
"""Of the role that owns the tables on either side."""
_queries = Queries(Path(__file__).with_name("tables.sql"))
_numbers = count(1)


@dataclass
class Server:
    """An embedded server of its own, which a test may stop, kill and start again."""

    postgres: Postgres
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Run it, unless it runs; returns when it answers."""
        if self.process is None:
            self.process = self.postgres.start(self.postgres.directory / "log")
            self.postgres.wait()

    def stop(self, *, how: Literal["fast", "crash"] = "fast") -> None:
        """End it: `crash` leaves the recovery to the next start."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT if how == "fast" else signal.SIGQUIT)
            self.process.wait()
            self.process = None


@dataclass(frozen=True)
class Servers:
    source: Server
    target: Server


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Two servers that no other test uses. They end with this process, however it ends."""
    directories = [Path(tempfile.mkdtemp(prefix="shop-pair-")) for _ in range(2)]
    found = Servers(*(Server(Postgres(directory, durable=False)) for directory in directories))
    for server in (found.source, found.target):
        server.postgres.prepare()
        server.start()
    yield found
    for server in (found.source, found.target):
        server.stop()
        shutil.rmtree(server.postgres.directory)


@pytest.fixture
def pair(servers: Servers) -> Iterator[Pair]:
    """A migration of `inventory` between two fresh databases; the source has rows, the target has the tables."""
    with _new_pair(servers.source, servers.target) as made:
        yield made


@pytest.fixture
def pair_on_one_server(servers: Servers) -> Iterator[Pair]:
    """The same between two databases of one server."""
    with _new_pair(servers.source, servers.source) as made:
        yield made


@pytest.fixture
def joined(pair: Pair) -> Pair:
    """Both sides follow each other."""
    return join(pair)


@pytest.fixture
def moving(pair: Pair, db: None, settings: Any) -> Iterator["Project"]:
    """A project whose module is the pair's, typed at in this process."""
    from tests.extraction.commands import project
    from tests.extraction.two_servers import EXTRACTION

    settings.EXTRACTION = EXTRACTION
    with project(pair) as opened:
        yield opened


def join(pair: Pair) -> Pair:
    """Let both sides follow each other."""
    prepare(pair)
    start(pair)
    follow(pair, tell=print, timeout_s=60)
    return pair


def connect(side: Side) -> Connection[Any]:
    """The administrator, in autocommit."""
    return psycopg.connect(side.url, autocommit=True)


def as_owner(side: Side) -> Connection[Any]:
    """The module's login role, in autocommit, as the application connects."""
    name = side.url.rpartition("/")[2]
    return psycopg.connect(with_login(side.url, role=ROLE, password=PASSWORD, database=name), autocommit=True)


def rows(side: Side, table: str) -> list[tuple[Any, ...]]:
    """All of a table, in the order of its columns."""
    with connect(side) as admin:
        return admin.execute(_queries("rows_of", table=sql.Identifier(SCHEMA, table))).fetchall()


def wait_for(condition: Callable[[], Any], *, within_s: float = 30) -> Any:
    """What the condition returns as soon as that is true. Raises AssertionError when the time is over."""
    end = time.monotonic() + within_s
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {within_s:g} s"
        time.sleep(0.01)
    return found


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Somebody works in a thread until the block ends, which sets the event."""
    is_over = threading.Event()
    thread = threading.Thread(target=work, args=(is_over,))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def lose(admin: Connection[Any], slot: str) -> None:
    """Let the server throw away what this slot, which nobody reads, still needs."""

    def is_lost() -> bool:
        admin.execute("select pg_logical_emit_message(false, '', repeat('x', 1000000)) from generate_series(1, 20)")
        admin.execute("select pg_switch_wal()")
        admin.execute("checkpoint")
        found = admin.execute("select wal_status from pg_replication_slots where slot_name = %s", [slot]).fetchone()
        return bool(found == ("lost",))

    admin.execute("alter system set max_slot_wal_keep_size = '1MB'")
    admin.execute("select pg_reload_conf()")
    try:
        wait_for(is_lost)
    finally:
        admin.execute("alter system reset max_slot_wal_keep_size")
        admin.execute("select pg_reload_conf()")


@contextmanager
def _new_pair(source: Server, target: Server) -> Iterator[Pair]:
    number = next(_numbers)
    places = [(source, f"pair_{number}_source"), (target, f"pair_{number}_target")]
    sides = []
    for (server, name), unit in zip(places, UNITS, strict=True):
        server.start()
        provide_database(server.postgres.url(), name=name, owners=[Owner(SCHEMA, ROLE, PASSWORD)])
        sides.append(Side(unit=unit, url=server.postgres.url(name)))
    made = Pair(id=f"t{number}", module=MODULE, schema=SCHEMA, source=sides[0], target=sides[1])
    for side in sides:
        with as_owner(side) as owner:
            owner.execute(_queries("tables"))
            made.objects.install(owner, unit=side.unit, home=UNITS[0])
    with as_owner(made.source) as owner:
        owner.execute(_queries("rows"))
    yield made
    for server, _ in places:
        server.start()
    for server, name in places:
        _unsubscribe(server.postgres, name)
    for server, name in places:
        _drop(server.postgres, name)


def _unsubscribe(server: Postgres, name: str) -> None:
    with psycopg.connect(server.url(name), autocommit=True) as admin:
        for (subscription,) in admin.execute(_queries("subscriptions")).fetchall():
            for query in ("disable", "forget_slot", "drop_subscription"):
                admin.execute(_queries(query, subscription=sql.Identifier(subscription)))


def _drop(server: Postgres, name: str) -> None:
    """The database, and the slots that keep it from being dropped."""
    with psycopg.connect(server.url(), autocommit=True) as admin:
        wait_for(lambda: not admin.execute(_queries("end_walsenders"), {"database": name}).fetchall())
        admin.execute(_queries("drop_slots"), {"database": name})
    drop_database(server.url(), name)
