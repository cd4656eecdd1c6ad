"""Sessions in which a repair reads the home and writes the other side, and sends nothing of it to the home."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.cutover.errors import Behind
from extraction.cutover.sessions import away, session
from extraction.cutover.verify.tables import queries
from extraction.replicate.pair import Pair, Side
from extraction.replicate.queries import replicate


@contextmanager
def origin_on(pair: Pair, side: Side, command: str) -> Iterator[str]:
    """The name under which rows are written on this side, so that they go to no other."""
    origin = {"origin": f"{pair.name}_tool"}
    with session(pair, side, command=command) as other, answering(side, other, side, command):
        if other.execute(replicate("origins_like"), {**origin, "copying": "^$"}).fetchone() is None:
            other.execute(replicate("make_origin"), origin)
    yield origin["origin"]
    with session(pair, side, command=command) as other, answering(side, other, side, command):
        other.execute(replicate("drop_origin"), origin)  # an idle one takes one of the server's places


@contextmanager
def writing(pair: Pair, unit: str, origin: str, command: str) -> Iterator[tuple[Connection[Any], Connection[Any]]]:
    """The home and the other side; what is written there goes to no other. Raises Behind while an older one writes."""
    ours, theirs = pair.side(unit), pair.other(unit)
    with (
        session(pair, ours, command=command) as home,
        session(pair, theirs, command=command) as other,
        answering(theirs, other, ours, command),
    ):
        for connection in (home, other):
            connection.execute(queries("pin", idle_ms=sql.Literal("0")))
        try:
            other.execute(replicate("take_origin"), {"origin": origin})
        except psycopg.errors.ObjectInUse as error:
            raise Behind(
                f"another session repairs {pair.module} ({error.diag.message_primary}); end it, then run: {command}"
            ) from None
        try:
            yield home, other
        finally:
            with suppress(psycopg.Error):
                other.execute(replicate("leave_origin"))


@contextmanager
def answering(theirs: Side, other: Connection[Any], ours: Side, command: str) -> Iterator[None]:
    """Raise Away for the side that does not answer."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise away(theirs if other.closed else ours, error, command=command) from None
