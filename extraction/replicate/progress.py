"""How far the copy is, and whether both sides follow each other in everything."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import Connection

from extraction.placement.database import NEVER_MOVED
from extraction.platform.database import connect
from extraction.replicate.pair import Pair, Side, Stream
from extraction.replicate.queries import replicate

COPIED = ("f", "s", "r")
"""States of a table in pg_subscription_rel after its copy: finished, synchronized, ready."""


class Copying(str):
    """A reason that ends with a copy."""


class Reconnecting(str):
    """A reason that ends by itself: a stream connects again some seconds after its server did."""


class Lost(str):
    """A reason that nothing ends: only a new copy helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Of the stream out. What counts rows and `total` are estimates from the statistics of the servers."""

    tables: int
    tables_ready: int
    rows_total: int
    rows_copied: int
    bytes_copied: int
    lag_bytes: int
    """Written on the source and not yet on the target."""
    troubles: tuple[tuple[str, int], ...]
    """Counters of errors and conflicts of the subscription that are not zero."""

    @property
    def is_copied(self) -> bool:
        return 0 < self.tables == self.tables_ready

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """What an operator reads."""
        troubles = "".join(f", {counter} {count}" for counter, count in self.troubles)
        hint = "; the log of the target's server says why" if troubles else ""
        return (
            f"{self.tables_ready} of {self.tables} tables ready, about {self.rows_copied} of {self.rows_total} rows, "
            f"{self.lag_bytes} bytes behind{troubles}{hint}"
        )


def progress(pair: Pair) -> Progress:
    """As it is now. Raises ServerUnreachable."""
    stream, never = pair.out, [*NEVER_MOVED]
    with connect(pair.source.url) as source, connect(pair.target.url) as target:
        sizes = source.execute(replicate("sizes"), {"schema": pair.schema, "never": never}).fetchall()
        copying = target.execute(replicate("copying"), {"subscription": stream.name}).fetchall()
        troubles = target.execute(replicate("troubles"), {"subscription": stream.name}).fetchall()
    rows: dict[str, int] = dict(sizes)
    return Progress(
        tables=len(rows),
        tables_ready=sum(state == "r" for _, state, _, _ in copying),
        rows_total=sum(rows.values()),
        rows_copied=sum(
            rows.get(table, 0) if state in COPIED else min(count, rows.get(table, count))
            for table, state, count, _ in copying
        ),
        bytes_copied=sum(size for _, _, _, size in copying),
        lag_bytes=lag_bytes(stream),
        troubles=tuple((counter, count) for counter, count in troubles),
    )


def lag_bytes(stream: Stream) -> int:
    """Written by its publisher and not yet by its subscriber. Raises ServerUnreachable."""
    with connect(stream.publisher.url) as publisher:
        found = publisher.execute(replicate("lag"), {"slot": stream.name}).fetchone()
    return max(found[0] or 0, 0) if found else 0


def is_complete(pair: Pair, *, on: Mapping[str, Connection[Any]] | None = None) -> list[str]:
    """Why a switch would lose something: reasons, or none. One statement per side.

    Those that end without anybody's doing are Copying or Reconnecting.

    `on` gives open connections by unit, for who asks while writers wait. Raises ServerUnreachable.
    """
    with ExitStack() as stack:
        found = {}
        for side, publishes, subscribes in (
            (pair.source, pair.out, pair.back),
            (pair.target, pair.back, pair.out),
        ):
            connection = on[side.unit] if on else stack.enter_context(connect(side.url))
            found[side.unit] = _ask(pair, connection, publishes, subscribes)
    reasons = [
        *_missing(pair.source, found[pair.source.unit][0], found[pair.target.unit][0]),
        *_missing(pair.target, found[pair.target.unit][0], found[pair.source.unit][0]),
        *_unlike(pair, found[pair.source.unit][0], found[pair.target.unit][0]),
    ]
    for side, publishes in ((pair.source, pair.out), (pair.target, pair.back)):
        reasons += _faults(pair, side, publishes, *found[side.unit])
    return reasons


def _ask(pair: Pair, connection: Connection[Any], publishes: Stream, subscribes: Stream) -> Any:
    given = {
        "schema": pair.schema,
        "never": [*NEVER_MOVED],
        "fence": pair.objects.fence,
        "publication": publishes.name,
        "slot": publishes.name,
        "subscription": subscribes.name,
    }
    return connection.execute(replicate("side"), given).fetchone()


def _missing(side: Side, tables: Any, others: Any) -> list[str]:
    here, there = ({table["name"] for table in given} for given in (tables, others))
    return [f"{side.unit} has no table {table}: migrate there" for table in sorted(there - here)]


def _unlike(pair: Pair, tables: Any, others: Any) -> list[str]:
    here, there = ({table["name"]: set(table["columns"]) for table in given} for given in (tables, others))
    return [
        f"table {table} differs between {pair.source.unit} and {pair.target.unit} "
        f"({', '.join(sorted(here[table] ^ there[table]))}): migrate both to the same state"
        for table in sorted(here.keys() & there.keys())
        if here[table] != there[table]
    ]


def _faults(
    pair: Pair,
    side: Side,
    publishes: Stream,
    tables: Any,
    is_enabled: bool | None,
    is_applying: bool,
    is_sending: bool | None,
    wal_status: str | None,
) -> list[str]:
    unit, faults = side.unit, list[str]()
    unfenced = {pair.objects.placement, pair.objects.heartbeat}
    for table in sorted(tables, key=lambda table: str(table["name"])):
        name = table["name"]
        if not table["is_fenced"] and name not in unfenced:
            faults.append(f"{unit}: table {name} has no fence")
        if table["holds_rows"] and not table["is_published"]:
            faults.append(f"{unit}: table {name} is not published")
        if table["holds_rows"] and table["state"] != "r":
            lack = f"{unit}: table {name} does not follow yet (state {table['state'] or 'none'})"
            faults.append(Copying(lack) if table["state"] else lack)
    if is_enabled is None:
        faults.append(f"{unit}: no subscription")
    elif not is_enabled:
        faults.append(f"{unit}: the subscription is disabled")
    elif not is_applying:
        faults.append(Reconnecting(f"{unit}: the subscription does not run; the server's log says why"))
    if is_sending is None:
        faults.append(f"{unit}: no slot {publishes.name}")
    elif wal_status == "lost":
        faults.append(
            Lost(
                f"{unit}: slot {publishes.name} has lost what the other side still needs (max_slot_wal_keep_size); "
                f"while {pair.module} lives in {pair.source.unit}, begin anew: manage.py extract abort {pair.module}"
            )
        )
    elif not is_sending:
        faults.append(Reconnecting(f"{unit}: nobody reads slot {publishes.name}"))
    return faults
