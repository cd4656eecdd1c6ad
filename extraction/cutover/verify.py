"""Both sides hold the same rows, proven while writers write; or the rows that differ."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from psycopg import Connection, sql

from extraction.cutover.compare import Reader, Table, TableResult, compare, queries
from extraction.cutover.errors import Different, NotFollowing
from extraction.cutover.sessions import Place, session, settled
from extraction.cutover.still import attempting, still
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair

CONNECTIONS = 2
"""On each side; so many tables are compared at a time."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared. Writers were refused for `pause_ms`, while both sides took their snapshot."""

    tables: tuple[TableResult, ...]
    pause_ms: float
    took_s: float

    @property
    def equal(self) -> bool:
        return all(table.is_equal for table in self.tables)


def verify(pair: Pair, *, max_pause_ms: int = 300, attempts: int = 20, tell: Tell = lambda _: None) -> Verification:
    """Compare every table of the module on both sides, as they were at one moment. Raises CutoverError."""
    began = time.perf_counter()
    command = f"manage.py extract verify {pair.module}"
    now, is_settled = settled(pair, command=command)
    if not is_settled:
        raise NotFollowing(
            f"{pair.module} lives in {now.home}, and the other side has not heard of it; wait for its stream, then "
            f"run: {command}"
        )
    with ExitStack() as stack:
        source, target = (
            [stack.enter_context(session(pair, side, command=command)) for _ in range(CONNECTIONS)]
            for side in (pair.source, pair.target)
        )
        for connection in (*source, *target):
            connection.execute(queries("pin"))
        pause_ms = attempting(
            lambda _: _snapshots(pair, now, source, target, max_pause_ms, command), attempts=attempts, tell=tell
        )
        tell(f"snapshots of both sides after a pause of {pause_ms:.1f} ms")
        tables = _tables(pair, source[0], target[0], command)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            readers = Reader(pair.source.unit, _fetching(source)), Reader(pair.target.unit, _fetching(target))
            results = tuple(pool.map(lambda table: compare(table, *readers), tables))
    return Verification(results, pause_ms, time.perf_counter() - began)


def _snapshots(
    pair: Pair,
    now: Place,
    source: list[Connection[Any]],
    target: list[Connection[Any]],
    max_pause_ms: int,
    command: str,
) -> float:
    """Begin a transaction on each connection, all of them at the same moment of the module. Returns the pause in ms."""
    for connection in (*source, *target):
        connection.rollback()
    with still(pair, home=now.home, max_pause_ms=max_pause_ms, command=command) as held:
        held.prove(held.beat())
        exported = [_export(connections[0]) for connections in (source, target)]
        held.lock.rollback()
        pause_ms = (time.perf_counter() - held.began) * 1000
    for connections, snapshot in zip((source, target), exported, strict=True):
        for connection in connections[1:]:
            connection.execute(queries("begin"))
            connection.execute(queries("import", snapshot=sql.Literal(snapshot)))
    return pause_ms


def _export(connection: Connection[Any]) -> str:
    connection.execute(queries("begin"))
    row = connection.execute(queries("export")).fetchone()
    assert row is not None
    return str(row[0])


def _tables(pair: Pair, source: Connection[Any], target: Connection[Any], command: str) -> list[Table]:
    query = queries("tables", schema=sql.Literal(pair.schema), without=sql.Literal(pair.objects.without()))
    ours, theirs = ({name: (columns, key) for name, columns, key in side.execute(query)} for side in (source, target))
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = (sorted(side.get(name, ([], []))[0]) for side in (ours, theirs))
        if here != there:
            raise Different(
                f"{pair.schema}.{name} has the columns {', '.join(here) or 'none'} in {pair.source.unit} and "
                f"{', '.join(there) or 'none'} in {pair.target.unit}; migrate both to the same state, "
                f"then run: {command}"
            )
    return [Table(pair.schema, name, tuple(columns), tuple(key)) for name, (columns, key) in ours.items()]


def _fetching(connections: list[Connection[Any]]) -> Any:
    """Runs queries on whichever of these connections is free."""
    free: SimpleQueue[Connection[Any]] = SimpleQueue()
    for connection in connections:
        free.put(connection)

    @contextmanager
    def lent() -> Iterator[Connection[Any]]:
        connection = free.get()
        try:
            yield connection
        finally:
            free.put(connection)

    def fetch(query: sql.Composed) -> list[tuple[Any, ...]]:
        with lent() as connection:
            return connection.execute(query).fetchall()

    return fetch
