"""How far the copy is, and whether both sides follow each other in everything."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from psycopg import Connection

from extraction.platform.database import connect
from extraction.replicate.copying.ledger import Tally, has_ledger, tally
from extraction.replicate.pair import Pair, Side, Stream
from extraction.replicate.queries import replicate

POLL_S, DELAY_S = 0.005, 2.0
COPIED = ("f", "s", "r")
"""States of a table in pg_subscription_rel after its copy: finished, synchronized, ready."""


class Copying(str):
    """A reason that ends with a copy."""


class Reconnecting(str):
    """A reason that ends by itself: a stream connects again some seconds after its server did."""


class Lost(str):
    """A reason that nothing ends: only a new copy helps."""


class LostBack(str):
    """The same of the stream back. While the source is home it is made anew without a copy, for it carries nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Of the stream out. What counts rows and `total` are estimates from the statistics of the servers."""

    tables: int
    tables_ready: int
    rows_total: int
    rows_copied: int
    bytes_copied: int
    share: float
    """Of the files of the tables, which is done."""
    is_streaming: bool
    """The first copy is done, and changes arrive."""
    at_work: tuple[str, ...]
    """Tables that are copied now."""
    resting: str = ""
    """Why the copy waits."""
    wal_bytes: int
    """What the source keeps of its log until the copy is done."""
    wal_left_bytes: int | None = None
    """How much more it keeps before it throws that away; None where it keeps all."""
    lag_bytes: int
    """Written on the source and not yet on the target."""
    troubles: tuple[tuple[str, int], ...]
    """Counters of errors and conflicts of the subscription that are not zero."""

    @property
    def is_copied(self) -> bool:
        return self.is_streaming and 0 < self.tables == self.tables_ready

    def sentence(self) -> str:
        """What an operator reads."""
        troubles = "".join(f", {counter} {count}" for counter, count in self.troubles)
        hint = "; the log of the target's server says why" if troubles else ""
        rows = f"{self.tables_ready} of {self.tables} tables ready, about {self.rows_copied} of {self.rows_total} rows"
        if self.is_streaming:
            return f"{rows}, {self.lag_bytes} bytes behind{troubles}{hint}"
        resting = f"; rests, for {self.resting}" if self.resting else ""
        now = f"; now {', '.join(self.at_work)}" if self.at_work else ""
        left = self.wal_left_bytes
        end = "" if left is None else f" (lost after {_mb(left)} more: max_slot_wal_keep_size)"
        held = f"{_mb(self.wal_bytes)} of log held on the source{end}"
        return f"{rows}, {_mb(self.bytes_copied)}, {held}{now}{resting}"


def progress(pair: Pair) -> Progress:
    """As it is now. Raises ServerUnreachable."""
    with connect(pair.source.url) as source, connect(pair.target.url) as target:
        held = source.execute(replicate("wal_held"), {"slot": pair.out.name}).fetchone()
        wal_bytes, left_bytes = (max(held[0] or 0, 0), held[1]) if held else (0, None)
        is_streaming = target.execute(replicate("subscription"), {"subscription": pair.out.name}).fetchone() is not None
        if not is_streaming and has_ledger(pair, target):
            return replace(_copying(tally(pair, target), wal_bytes), wal_left_bytes=left_bytes)
        return _streaming(pair, source, target, is_streaming, wal_bytes)


def _copying(now: Tally, wal_bytes: int) -> Progress:
    return Progress(
        tables=now.tables,
        tables_ready=now.tables_done,
        rows_total=now.rows_expected,
        rows_copied=now.rows,
        bytes_copied=now.bytes,
        share=now.size_done_bytes / now.size_bytes if now.size_bytes else 1.0,
        is_streaming=False,
        at_work=now.at_work,
        wal_bytes=wal_bytes,
        lag_bytes=wal_bytes,
        troubles=(),
    )


def _streaming(
    pair: Pair, source: Connection[Any], target: Connection[Any], is_streaming: bool, wal_bytes: int
) -> Progress:
    stream, objects = pair.out, pair.objects
    sizes = source.execute(replicate("sizes", members=objects.members), objects.scope).fetchall()
    copying = target.execute(replicate("copying"), {"subscription": stream.name}).fetchall()
    troubles = target.execute(replicate("troubles"), {"subscription": stream.name}).fetchall()
    rows: dict[str, int] = dict(sizes)
    ready = sum(state == "r" for _, state, _, _ in copying)
    return Progress(
        tables=len(rows),
        tables_ready=ready,
        rows_total=sum(rows.values()),
        rows_copied=sum(
            rows.get(table, 0) if state in COPIED else min(count, rows.get(table, count))
            for table, state, count, _ in copying
        ),
        bytes_copied=sum(size for _, _, _, size in copying),
        share=ready / len(rows) if rows else 0.0,
        is_streaming=is_streaming,
        at_work=tuple(table for table, state, _, _ in copying if state not in COPIED),
        wal_bytes=wal_bytes,
        lag_bytes=lag_bytes(stream),
        troubles=tuple((counter, count) for counter, count in troubles),
    )


def lag_bytes(stream: Stream) -> int:
    """Written by its publisher and not yet by its subscriber. Raises ServerUnreachable."""
    with connect(stream.publisher.url) as publisher:
        found = publisher.execute(replicate("lag"), {"slot": stream.name}).fetchone()
    return max(found[0] or 0, 0) if found else 0


@dataclass(frozen=True, slots=True)
class Delay:
    """How long a commit takes to arrive."""

    seconds: float
    is_over: bool
    """False: it has not arrived yet, and takes longer."""


def beat(pair: Pair, stream: Stream) -> int:
    """Commit a heartbeat at the publisher: it arrives behind all that was committed before."""
    with connect(stream.publisher.url) as publisher:
        return _beat(pair, publisher)


def has_arrived(pair: Pair, stream: Stream, beat: int) -> bool:
    """Whether the subscriber has this heartbeat."""
    with connect(stream.subscriber.url) as subscriber:
        return _last(pair, stream, subscriber) >= beat


def delay(pair: Pair, stream: Stream, *, within_s: float = DELAY_S) -> Delay:
    """How long a heartbeat takes to arrive; where that is longer, what the publisher measured last, if that is more.

    It writes one: not for a side that may be a copy (cutover/copies.py). Raises ServerUnreachable.
    """
    with connect(stream.publisher.url) as publisher, connect(stream.subscriber.url) as subscriber:
        publisher.execute(replicate("wait_shortly"))
        began, sent = time.monotonic(), _beat(pair, publisher)
        while _last(pair, stream, subscriber) < sent:
            took_s = time.monotonic() - began
            if took_s > within_s:
                (measured_s,) = publisher.execute(replicate("replay_lag"), {"slot": stream.name}).fetchone() or (0.0,)
                return Delay(max(took_s, measured_s), False)
            time.sleep(POLL_S)
        return Delay(time.monotonic() - began, True)


def _beat(pair: Pair, publisher: Connection[Any]) -> int:
    found = publisher.execute(pair.objects.query("beat")).fetchone()
    assert found is not None
    return int(found[0])


def _last(pair: Pair, stream: Stream, connection: Connection[Any]) -> int:
    found = connection.execute(pair.objects.query("beat_of"), {"unit": stream.publisher.unit}).fetchone()
    assert found is not None
    return int(found[0])


def is_complete(pair: Pair, *, on: Mapping[str, Connection[Any]] | None = None) -> list[str]:
    """Why a switch would lose something: reasons, or none. One statement per side.

    Those that end without anybody's doing are Copying or Reconnecting; Lost and LostBack say what no waiting ends.

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
        **pair.objects.scope,
        "fence": pair.objects.fence,
        "publication": publishes.name,
        "slot": publishes.name,
        "subscription": subscribes.name,
    }
    return connection.execute(replicate("side", members=pair.objects.members), given).fetchone()


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
        lack = f"{unit}: no slot {publishes.name}"
        faults.append(LostBack(lack) if publishes == pair.back else Lost(lack))
    elif wal_status == "lost" and publishes == pair.back:
        faults.append(
            LostBack(
                f"{unit}: slot {publishes.name} has lost what the other side still needs (max_slot_wal_keep_size); "
                f"while {pair.module} lives in {pair.source.unit}, nothing is: manage.py extract replicate "
                f"{pair.module}"
            )
        )
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


def _mb(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MB"
