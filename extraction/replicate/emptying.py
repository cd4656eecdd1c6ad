"""Take away what stands in the way of a copy, so that nothing follows from it on the other side."""

from typing import Any

from psycopg import Connection, sql

from extraction.replicate.fence import tables
from extraction.replicate.pair import Pair
from extraction.replicate.patience import patiently
from extraction.replicate.queries import replicate


def empty(pair: Pair, target: Connection[Any], only: list[str], timeout_s: float) -> None:
    """Take away what a copy that was broken off has left, or what migrations put into tables that came since.

    There is no subscription to them, so nothing follows from it. Raises Blocked.
    """
    names = only or [*tables(pair, target), pair.objects.heartbeat]
    found = [sql.Identifier(pair.schema, table) for table in names]
    statements = (
        [replicate("empty_table", table=table) for table in found]
        if only
        else [replicate("empty_tables", tables=sql.SQL(", ").join(found))]
    )
    origin = {"origin": f"{pair.name}_tool"}
    if target.execute(replicate("origins_like"), {**origin, "copying": "^$"}).fetchone() is None:
        target.execute(replicate("make_origin"), origin)

    def delete() -> None:
        target.execute(replicate("as_replication"))
        for statement in statements:
            target.execute(statement)

    target.execute(replicate("take_origin"), origin)
    try:
        patiently(target, delete, of=pair.objects, timeout_s=timeout_s)
    finally:
        target.execute(replicate("leave_origin"))
    target.execute(replicate("drop_origin"), origin)  # an idle one takes one of the server's places
