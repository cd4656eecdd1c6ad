"""Every kind of write at every isolation level goes on while the home moves; nothing is lost, doubled or half done.

`WRITERS_ROUNDS=20 uv run pytest tests/extraction/test_writers.py -s` for more; a round is a switch there and back.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import Connection, sql

from extraction.cutover.errors import Busy
from extraction.cutover.switch import switch
from extraction.cutover.verify import verify
from extraction.platform.database import with_login
from extraction.platform.local.postgres import BINARIES, Postgres
from extraction.replicate.pair import Pair, Side
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import PASSWORD, ROLE, Server, Servers, _new_pair, as_owner, connect, wait_for

pytestmark = pytest.mark.timeout(300)
ROUNDS = int(os.environ.get("WRITERS_ROUNDS", "2"))
TABLES = """
create table entry (name text primary key, note text);
create table line (entry text not null references entry deferrable initially deferred, number int,
                   primary key (entry, number));
create table whole (name text primary key);
create function enter(given text) returns void language plpgsql as $$
  begin insert into entry values (given); insert into line values (given, 1); end $$;
create function add_line() returns trigger language plpgsql as $$
  begin insert into line values (new.name, 1); return null; end $$;
create table queued (name text primary key);
create constraint trigger add_late after insert on queued deferrable initially deferred
  for each row execute function add_line();
"""
"""A name is whole where it is in `entry` and, but for the kinds of one statement, in `line`."""


def autocommit(connection: Connection[Any], name: str) -> None:
    connection.execute("insert into entry values (%s)", [name])


def two_tables(connection: Connection[Any], name: str) -> None:
    connection.execute("insert into line values (%s, 1)", [name])  # deferred: its entry comes after it
    connection.execute("insert into entry values (%s)", [name])


def for_update(connection: Connection[Any], name: str) -> None:
    connection.execute("select from stock where warehouse = 'north' and product_id = 1 for update")
    connection.execute("update stock set on_hand = on_hand - 1 where warehouse = 'north' and product_id = 1")
    two_tables(connection, name)


def copy(connection: Connection[Any], name: str) -> None:
    with connection.cursor().copy("copy entry (name) from stdin") as rows:
        rows.write_row([name])
    connection.execute("insert into line values (%s, 1)", [name])


def merge(connection: Connection[Any], name: str) -> None:
    connection.execute(
        "merge into entry using (values (%s)) given (name) on entry.name = given.name "
        "when not matched then insert values (given.name) when matched then update set note = 'doubled'",
        [name],
    )
    connection.execute("insert into line values (%s, 1)", [name])


def on_conflict(connection: Connection[Any], name: str) -> None:
    connection.execute("insert into entry values (%s) on conflict (name) do update set note = 'doubled'", [name])
    connection.execute("insert into line values (%s, 1)", [name])


def cte(connection: Connection[Any], name: str) -> None:
    connection.execute(
        "with made as (insert into entry values (%s) returning name) insert into line select name, 1 from made", [name]
    )


def function(connection: Connection[Any], name: str) -> None:
    connection.execute("select enter(%s)", [name])


def truncate(connection: Connection[Any], name: str) -> None:
    connection.execute("truncate whole restart identity cascade")
    connection.execute("insert into whole values (%s)", [name])
    two_tables(connection, name)


def partition(connection: Connection[Any], name: str) -> None:
    connection.execute("insert into movement (at, quantity) values ('2026-01-01 00:00+00', 1)")
    connection.execute("update movement_2025 set quantity = quantity + 1 where id = 1")
    two_tables(connection, name)


def advisory(connection: Connection[Any], name: str) -> None:
    connection.execute("select pg_advisory_xact_lock(42)")
    two_tables(connection, name)


def at_commit(connection: Connection[Any], name: str) -> None:
    connection.execute("insert into entry values (%s)", [name])
    connection.execute("insert into queued values (%s)", [name])  # its line is written by the COMMIT


def savepoint(connection: Connection[Any], name: str) -> None:
    with suppress(psycopg.errors.UniqueViolation), connection.transaction():
        connection.execute("insert into entry values ('taken')")
        connection.execute("insert into entry values ('taken')")
    two_tables(connection, name)


def several_modules(connection: Connection[Any], name: str) -> None:
    connection.execute("insert into billing.bill values (%s)", [name])
    two_tables(connection, name)


KINDS: tuple[Callable[[Connection[Any], str], None], ...] = (
    *(two_tables, for_update, copy, merge, on_conflict, cte, function, truncate, partition, advisory, at_commit),
    *(savepoint, several_modules),
)
LEVELS = ("read committed", "repeatable read", "serializable")


@dataclass
class Matrix:
    """A thread for each kind and level, which follows the home as the fence names it."""

    pair: Pair
    acknowledged: dict[str, str] = field(default_factory=dict)
    """By name, the unit that took it."""
    errors: list[str] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    unclear: set[str] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self, kind: Callable[[Connection[Any], str], None], level: str) -> None:
        home, row = self.pair.source.unit, 0
        connections = {side.unit: as_owner(side) for side in (self.pair.source, self.pair.target)}
        while not self.ended.is_set():
            row += 1
            name = f"{kind.__name__} {level} {row}"
            while not self.ended.is_set():
                try:
                    self.transact(connections[home], kind, level, name)
                    self.acknowledged[name] = home
                    break
                except psycopg.Error as error:
                    state = str(error.sqlstate)
                    self.refused[state] = self.refused.get(state, 0) + 1
                    if state == "MV001":
                        home = json.loads(error.diag.message_detail or "")["home"]
                    elif state not in ("MV002", "40001", "40P01"):
                        self.errors.append(f"{name}: {error}")
                        self.unclear.add(name)
                        break
                    time.sleep(0.005)
            time.sleep(0.02)
        for connection in connections.values():
            connection.close()

    def wait_for_each(self, cells: int) -> None:
        """Until every writer has written since."""
        before = set(self.acknowledged)
        wait_for(
            lambda: len({name.rpartition(" ")[0] for name in self.acknowledged.copy().keys() - before}) == cells,
            within_s=60,
        )

    def transact(
        self, connection: Connection[Any], kind: Callable[[Connection[Any], str], None], level: str, name: str
    ) -> None:
        if level == "autocommit":
            kind(connection, name)
            return
        with connection.transaction():
            connection.execute(sql.SQL("set transaction isolation level {}").format(sql.SQL(level)))
            # Takes the snapshot, which outside READ COMMITTED is often older than a switch when the first write comes.
            connection.execute("select count(*), pg_sleep(0.02) from ticket")
            kind(connection, name)


@pytest.fixture
def joined(servers: Servers) -> Iterator[Pair]:
    with _new_pair(servers.source, servers.target) as pair:
        yield _joined(pair)


def _joined(pair: Pair) -> Pair:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute(TABLES)
        with connect(side) as admin:
            admin.execute("create schema billing; create table billing.bill (name text)")
            admin.execute(
                sql.SQL("grant usage on schema billing to {role}; grant insert on billing.bill to {role}").format(
                    role=sql.Identifier(ROLE)
                )
            )
    prepare(pair)
    start(pair)
    follow(pair, tell=print, timeout_s=60)
    return pair


def names(side: Side, query: LiteralString) -> list[Any]:
    with connect(side) as admin:
        return [name for (name,) in admin.execute(query).fetchall()]


def test_nothing_is_lost_doubled_or_half_done(joined: Pair) -> None:
    matrix = Matrix(joined)
    cells = [(kind, level) for kind in KINDS for level in LEVELS] + [(autocommit, "autocommit"), (cte, "autocommit")]
    threads = [threading.Thread(target=matrix.write, args=cell, daemon=True) for cell in cells]
    moves = []
    for thread in threads:
        thread.start()
    try:
        matrix.wait_for_each(len(cells))
        for _ in range(ROUNDS):
            for to in ("inventory", "monolith"):
                moves.append(switch(joined, to=to, max_pause_ms=1000, tell=print))
                matrix.wait_for_each(len(cells))
    finally:
        matrix.ended.set()
        for thread in threads:
            thread.join()
    print(
        f"{len(cells)} writers, {len(moves)} switches: {len(matrix.acknowledged)} acknowledged, {matrix.refused}, "
        f"lock to open {sorted(round(move.lock_to_open_ms) for move in moves)} ms"
    )
    assert matrix.errors == []
    assert matrix.refused["MV001"] > 0
    assert verify(joined).equal
    for side in (joined.source, joined.target):
        # Its primary key sees what is doubled: the write would have been refused.
        assert set(names(side, "select name from inventory.entry")) == set(matrix.acknowledged)
        assert names(side, "select name from inventory.entry where note = 'doubled'") == []
        lines = set(names(side, "select entry from inventory.line"))
        assert lines == {name for name in matrix.acknowledged if not name.startswith("autocommit")}
        taken = sum(name.startswith("for_update") for name in matrix.acknowledged)
        assert names(side, "select on_hand from inventory.stock where (warehouse, product_id) = ('north', 1)") == [
            1000 - taken
        ]
        # The last that truncated is the only one that is left.
        (last,) = names(side, "select name from inventory.whole")
        assert last in matrix.acknowledged
    # What was written to another module beside it was written where that stands, once.
    bills = [name for side in (joined.source, joined.target) for name in names(side, "select name from billing.bill")]
    assert sorted(bills) == sorted(name for name in matrix.acknowledged if name.startswith("several_modules"))


def test_psql_that_knows_nothing_of_a_switch_is_told_and_loses_nothing(joined: Pair) -> None:
    acknowledged, told = list[str](), list[str]()
    is_over = threading.Event()

    def type_on(side: Side) -> None:
        number = 0
        url = with_login(side.url, role=ROLE, password=PASSWORD, database=side.url.rpartition("/")[2])
        while not is_over.is_set():
            number += 100
            script = "\n".join(
                f"insert into entry values ('psql {side.unit} {n}') returning name;"
                for n in range(number, number + 100)
            )
            done = subprocess.run(
                [str(BINARIES / "psql"), "--quiet", "--no-psqlrc", "--tuples-only", "--no-align", "--dbname", url],
                input=script,
                capture_output=True,
                text=True,
            )
            acknowledged.extend(done.stdout.split("\n")[:-1])
            told.extend(line for line in done.stderr.splitlines() if "ERROR" in line)

    typists = [threading.Thread(target=type_on, args=(side,)) for side in (joined.source, joined.target)]
    for typist in typists:
        typist.start()
    for to in ("inventory", "monolith", "inventory"):
        count = len(acknowledged)
        wait_for(lambda: len(acknowledged) > count)  # noqa: B023
        switch(joined, to=to, tell=print)
    is_over.set()
    for typist in typists:
        typist.join()
    assert any("inventory lives in inventory, not in monolith" in line for line in told)
    assert any("inventory lives in monolith, not in inventory" in line for line in told)
    assert all("inventory lives in" in line or "is in motion" in line for line in told), told
    assert verify(joined).equal
    assert sorted(names(joined.source, "select name from inventory.entry")) == sorted(acknowledged)


def test_who_may_not_bypass_the_fence_cannot(joined: Pair) -> None:
    with as_owner(joined.target) as owner:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("set session_replication_role = replica")
        with pytest.raises(psycopg.Error, match="lives in monolith"):
            owner.execute("insert into entry values ('x')")


@pytest.fixture
def with_prepared(servers: Servers) -> Iterator[Pair]:
    """A source that takes prepared transactions, which needs a server of its own."""
    directory = Path(tempfile.mkdtemp(prefix="shop-prepared-"))
    server = Server(Postgres(directory, durable=False))
    server.postgres.prepare()
    with (server.postgres.data / "postgresql.conf").open("a") as file:
        file.write("max_prepared_transactions = 4\n")
    server.start()
    with _new_pair(server, servers.target) as pair:
        yield _joined(pair)
    server.stop()
    shutil.rmtree(directory)


def test_a_prepared_transaction_is_named_and_none_is_lost(with_prepared: Pair) -> None:
    pair = with_prepared
    with as_owner(pair.source) as owner:
        owner.execute("begin; insert into entry values ('prepared'); prepare transaction 'the first'")
        try:
            with pytest.raises(Busy, match="prepared transaction the first of shop_inventory"):
                switch(pair, to="inventory", max_pause_ms=200, attempts=2)
            owner.execute("insert into entry values ('beside')")
        finally:
            owner.execute("commit prepared 'the first'")
    assert switch(pair, to="inventory").epoch == 1
    for side in (pair.source, pair.target):
        assert set(names(side, "select name from inventory.entry")) == {"prepared", "beside"}
    assert verify(pair).equal
