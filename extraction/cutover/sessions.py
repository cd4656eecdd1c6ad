"""Direct connections to the two sides of a migration, and what they say of the home."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.cutover.copies import require_originals
from extraction.cutover.errors import Away, Elsewhere, NotFollowing
from extraction.placement.database import LOCK_CLASS, Objects
from extraction.queries import Queries
from extraction.replicate.pair import Pair, Side

queries = Queries(Path(__file__).with_name("cutover.sql"))

CONNECT_TIMEOUT_S = 5
POLL_S = 0.0003
SETTLE_S = 5.0
"""After a switch the two sides say different things for some milliseconds."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the placement row says."""

    home: str
    epoch: int
    least_epoch: int = field(default=0, compare=False)
    """What is older does not count there: not 0 after a recall."""


def application(pair: Pair) -> str:
    """As which the coordinator is seen in pg_stat_activity."""
    return f"extract {pair.module} {pair.id}"


@contextmanager
def session(pair: Pair, side: Side, *, command: str) -> Iterator[Connection[Any]]:
    """An autocommit connection to this side, closed at the end. Raises Away."""
    try:
        connection = psycopg.connect(
            side.url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name=application(pair)
        )
    except psycopg.OperationalError as error:
        raise away(side, error, command=command) from None
    with closing(connection):
        yield connection


def away(side: Side, error: Exception, *, command: str) -> Away:
    """The error that says which side does not answer, and why, without its URL."""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return Away(f"the database of {side.unit} does not answer ({reason}); start it, then run: {command}")


@contextmanager
def limited(seconds: float, *connections: Connection[Any]) -> Iterator[None]:
    """Cut these connections after so long: a frozen server never answers, and the client would wait for ever."""
    timer = threading.Timer(seconds, _cut, connections)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def place(connection: Connection[Any], objects: Objects) -> Place:
    """What the row says here."""
    row = connection.execute(objects.query("read_all")).fetchone()
    if row is None:
        raise Elsewhere(f"{objects.schema}.{objects.placement} is empty; run: manage.py migrate")
    return Place(*row)


def within_lock_timeout(connection: Connection[Any], timeout_ms: int) -> None:
    """In this transaction no lock is waited for longer."""
    connection.execute(queries("lock_timeout"), {"timeout": f"{timeout_ms}ms"})


def settled(pair: Pair, *, command: str, within_s: float = SETTLE_S) -> tuple[Place, bool]:
    """What both sides say, and True; or, once the time is over, what the one that knows more says, and False.

    Raises Away and Elsewhere.
    """
    try:
        return _agreed(pair, command=command, within_s=within_s)
    except Away:
        for side in (pair.source, pair.target):
            with suppress(Away, psycopg.OperationalError), session(pair, side, command=command) as connection:
                # It alone can hand the module over, so nothing that the other side knows is newer.
                if (said := place(connection, pair.objects)).home == side.unit:
                    return said, True
        raise


def ask(connection: Connection[Any], pair: Pair, name: str) -> list[tuple[Any, ...]]:
    """The rows of a query of cutover.sql about the module's lock or row."""
    placement = sql.Identifier(pair.schema, pair.objects.placement).as_string()
    query = queries(name, lock_class=sql.Literal(LOCK_CLASS), placement=sql.Literal(placement))
    return connection.execute(query).fetchall()


def _agreed(pair: Pair, *, command: str, within_s: float) -> tuple[Place, bool]:
    end = time.monotonic() + within_s
    with (
        session(pair, pair.source, command=command) as source,
        session(pair, pair.target, command=command) as target,
        limited(within_s + CONNECT_TIMEOUT_S, source, target),
    ):
        while True:
            said = []
            for connection, side in ((source, pair.source), (target, pair.target)):
                try:
                    said.append(place(connection, pair.objects))
                except psycopg.OperationalError as error:
                    raise away(side, error, command=command) from None
            newest = max(said, key=lambda each: each.epoch)
            if newest.home not in (pair.source.unit, pair.target.unit):
                raise Elsewhere(
                    f"{pair.module} lives in {newest.home}, which is neither {pair.source.unit} nor "
                    f"{pair.target.unit}; run: manage.py extract status {pair.module}"
                )
            if said[0] == said[1]:
                return newest, True
            require_originals(pair, *((each.home, each.epoch, each.least_epoch) for each in said))
            if said[0].epoch == said[1].epoch:
                raise NotFollowing(
                    f"in epoch {newest.epoch} {pair.module} lives in {said[0].home} says the database of "
                    f"{pair.source.unit}, in {said[1].home} says that of {pair.target.unit}: one of them is "
                    f"a copy of another time; run: manage.py extract status {pair.module}"
                )
            if time.monotonic() > end:
                return newest, False
            time.sleep(POLL_S)


def _cut(*connections: Connection[Any]) -> None:
    for connection in connections:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as peer:
            peer.shutdown(socket.SHUT_RDWR)
