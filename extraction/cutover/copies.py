"""A side that was restored from a copy of an earlier time says what it cannot have come to by itself."""

from typing import Any

from psycopg import Connection

from extraction.cutover.errors import Copied
from extraction.placement.database import Objects
from extraction.platform.database import connect
from extraction.replicate.pair import Pair

Said = tuple[str, int, int]
"""Home, epoch and least epoch, as a placement row says."""


def require_originals(pair: Pair, source: Said, target: Said) -> None:
    """Raise Copied where one row is older than it can be.

    A side that has yet to hear of the newest epoch is one behind, and says that the module lives in the other: it was
    that side that handed it over. Whoever is further behind, or takes itself for the home, was restored from a copy.
    """
    if source[1] == target[1]:
        return
    (old, older), (new, newer) = sorted(
        [(pair.source.unit, source), (pair.target.unit, target)], key=lambda each: each[1][1]
    )
    if newer[0] == old and older[0] == new and newer[1] == older[1] + 1:
        return
    if newer[1] == newer[2]:
        return  # a recall goes on by more than one, and the home stays where it was said to be
    raise Copied(
        f"the database of {old} says that {pair.module} lives in {older[0]} (epoch {older[1]}), that of {new} that it "
        f"lives in {newer[0]} (epoch {newer[1]}): {_a_copy(pair, old)}"
    )


def require_heard(pair: Pair, unit: str, *, own: Connection[Any], seen: Connection[Any]) -> None:
    """Raise Copied where the other side has seen a later heartbeat of this unit than its own database knows.

    The row alone does not show it: a copy whose subscription ran hears of the newest epoch, and of nothing before it.
    """
    query, given = pair.objects.query("beat_of"), {"unit": unit}
    (said,) = seen.execute(query, given).fetchone() or (0,)
    (now,) = own.execute(query, given).fetchone() or (0,)
    if said > now:
        raise Copied(
            f"{pair.other(unit).unit} has seen heartbeat {said} of {unit}, whose own is at {now}: {_a_copy(pair, unit)}"
        )


def require_both_heard(pair: Pair) -> None:
    """Before a heartbeat is written: on a copy it wears away what shows that it is one.

    Raises Copied, ServerUnreachable.
    """
    with connect(pair.source.url) as source, connect(pair.target.url) as target:
        require_heard(pair, pair.source.unit, own=source, seen=target)
        require_heard(pair, pair.target.unit, own=target, seen=source)


def closed(objects: Objects, connection: Connection[Any], *, unit: str) -> str:
    """That this server was started closed to the module, and whether that closes it; nothing where it was not."""
    given = {**objects.scope, "module": objects.module, "fence": objects.fence, "without": objects.without()}
    is_closed, is_fenced = connection.execute(objects.query("closed"), given).fetchone() or (False, False)
    if not is_closed:
        return ""
    if not is_fenced:
        return (
            f"{unit}: its server was started with extraction.closed, but tables of {objects.module} have no fence, and "
            "nothing refuses writes: start it with default_transaction_read_only = on, and see docs/runbook.md"
        )
    return (
        f"{unit}: its server was started with extraction.closed and refuses all writes of {objects.module}; compare it "
        "as docs/runbook.md says before it is started without"
    )


def require_original_source(pair: Pair) -> None:
    """Before anything is copied from it. Raises Copied, ServerUnreachable."""
    with connect(pair.source.url) as source, connect(pair.target.url) as target:
        require_heard(pair, pair.source.unit, own=source, seen=target)


def _a_copy(pair: Pair, unit: str) -> str:
    return (
        f"{unit} runs on a copy of an earlier time. Stop that server, or start it with extraction.closed = "
        f"'{pair.module}' and max_logical_replication_workers = 0, and see docs/runbook.md; then run: "
        f"manage.py extract status {pair.module}"
    )
