"""The first copy of all tables: begun, gone on with after a kill, or begun anew where its snapshot is gone."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection

from extraction.platform.errors import ServerUnreachable
from extraction.platform.protocol import Tell
from extraction.replicate.copying.ledger import (
    Planned,
    drop_ledger,
    has_ledger,
    open_ledger,
    plan,
    snapshot_of,
    tables_copied,
    tally,
)
from extraction.replicate.copying.limits import Limits
from extraction.replicate.copying.queries import coordinator_of, copying, holder_of
from extraction.replicate.copying.snapshot import Snapshot, end_sessions, make_snapshot
from extraction.replicate.copying.worker import SnapshotGone, Worker, session
from extraction.replicate.emptying import empty
from extraction.replicate.errors import NotCopied
from extraction.replicate.governor import MB, Followers, Governor, Strain
from extraction.replicate.pair import Pair
from extraction.replicate.queries import replicate

TICK_S, LOOK_S, END_S = 0.1, 0.5, 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What this process has copied; one that goes on does not count what was there."""

    tables: tuple[str, ...] = ()
    """All that are copied now."""
    rows: int = 0
    bytes: int = 0
    """As text."""
    seconds: float = 0.0
    rested_s: float = 0.0
    """Of these, for the servers' sake."""

    @property
    def evidence(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 2),
            "rested_s": round(self.rested_s, 2),
            "rows_per_s": round(self.rows / max(self.seconds, 0.01)),
        }


def copy(pair: Pair, limits: Limits, *, watch: Callable[[str], None], tell: Tell, timeout_s: float) -> Copied:
    """Copy all rows as of the moment at which the slot begins.

    `watch` is called some times a second, with why the copy rests if it does, and may raise to stop it; typed again it
    goes on. Raises NotCopied, Blocked, NoStream, ServerUnreachable.
    """
    with session(pair, pair.source.url) as source, session(pair, pair.target.url) as target:
        for connection in (source, target):
            end_sessions(connection, coordinator_of(pair))  # of a coordinator that was killed: they may still write
        snapshot = _begin(pair, source, target, limits, tell, timeout_s)
        before, began, rested_s = tally(pair, target), time.monotonic(), 0.0
        if before.chunks_left:
            rested_s = _run(pair, source, target, snapshot, limits, watch, tell)
        took_s, after = time.monotonic() - began, tally(pair, target)
        # From here on the slot is a subscription's, and nobody else is to drop it.
        end_sessions(source, holder_of(pair))
        if not _slot_is_good(pair, source, snapshot):
            raise NotCopied(f"slot {pair.out.name} was lost; begin anew: manage.py extract replicate {pair.module}")
        return Copied(
            tables=tuple(tables_copied(pair, target)),
            rows=after.rows - before.rows,
            bytes=after.bytes - before.bytes,
            seconds=took_s,
            rested_s=rested_s,
        )


def clear_source(pair: Pair, source: Connection[Any]) -> None:
    """End who holds the snapshot and who copies. The slot stays. Raises Blocked."""
    end_sessions(source, holder_of(pair), coordinator_of(pair))


def clear_target(pair: Pair, target: Connection[Any]) -> None:
    """Take away what a copy has made besides its rows. Raises Blocked."""
    end_sessions(target, coordinator_of(pair))
    drop_ledger(pair, target)
    given = {"origin": "", "copying": f"^{coordinator_of(pair)}_[0-9]+$"}
    for (origin,) in target.execute(replicate("origins_like"), given).fetchall():
        target.execute(replicate("drop_origin"), {"origin": origin})


def _begin(
    pair: Pair, source: Connection[Any], target: Connection[Any], limits: Limits, tell: Tell, timeout_s: float
) -> Snapshot:
    """The snapshot of a copy that was broken off, or a new one with an empty target and a new ledger."""
    if has_ledger(pair, target):
        snapshot = snapshot_of(pair, target)
        lacks = _lacks(pair, source, target, snapshot)
        if snapshot and not lacks:
            tell("going on with the copy that was broken off")
            return snapshot
        tell(f"the copy begins anew: {lacks}")
    drop_ledger(pair, target)
    empty(pair, target, [], timeout_s)
    planned: Planned = plan(pair, source, chunk_bytes=limits.chunk_bytes)
    snapshot = make_snapshot(pair, source, keep_s=limits.keep_snapshot_s, timeout_s=timeout_s, tell=tell)
    open_ledger(pair, target, snapshot, planned)
    return snapshot


def _lacks(pair: Pair, source: Connection[Any], target: Connection[Any], snapshot: Snapshot | None) -> str:
    """Why a copy cannot go on."""
    if snapshot is None or not _slot_is_good(pair, source, snapshot):
        return f"slot {pair.out.name} is gone or has lost what it was to keep"
    if tally(pair, target).chunks_left and not snapshot.is_held(source):
        return f"nobody holds its snapshot any more (kept for {snapshot.keep_s / 60:g} min, and while the server runs)"
    return ""


def _slot_is_good(pair: Pair, source: Connection[Any], snapshot: Snapshot) -> bool:
    found = source.execute(copying("slot_state"), {"slot": pair.out.name}).fetchone()
    return found is not None and found[0] == snapshot.point and not found[1] and found[2] != "lost"


def _run(
    pair: Pair,
    source: Connection[Any],
    target: Connection[Any],
    snapshot: Snapshot,
    limits: Limits,
    watch: Callable[[str], None],
    tell: Tell,
) -> float:
    """Until all is copied. Returns for how many seconds the copy has rested."""
    governor, stopping = Governor(limits.max_mb_s * MB), threading.Event()
    judge = _Judge.of(pair, source, target, limits)
    workers = [Worker(pair, number, snapshot, governor, stopping) for number in range(limits.workers)]
    for worker in workers:
        worker.start()
    try:
        looked_at, resting, rested_s = 0.0, "", 0.0
        while any(worker.is_alive() for worker in workers):
            if time.monotonic() > looked_at + LOOK_S:
                resting, looked_at = judge.told(), time.monotonic()
                (governor.hold if resting else governor.release)()
            watch(resting)
            time.sleep(TICK_S)
            rested_s += TICK_S if resting else 0.0
    except (psycopg.Error, ServerUnreachable) as broken:
        raise _why(pair, _first(workers) or broken, snapshot) from broken
    except NotCopied:  # not kept: the source has thrown away what goes with it
        raise
    except BaseException:
        until = datetime.fromtimestamp(time.time() + snapshot.keep_s).astimezone()
        tell(f"the copy stops here; its snapshot is kept until {until:%H:%M:%S %Z}, and typed again before it goes on")
        raise
    finally:
        stopping.set()
        _end(workers)
    if error := _first(workers):
        raise _why(pair, error, snapshot) from error
    if left := tally(pair, target).chunks_left:
        raise NotCopied(
            f"{left} parts are being copied by somebody else, or by what a killed command has left; "
            f"run again: manage.py extract replicate {pair.module}"
        )
    return rested_s


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.join(timeout=0.5)
    for worker in workers:
        if worker.is_alive():
            worker.cut()
    for worker in workers:
        worker.join(timeout=END_S)


def _first(workers: list[Worker]) -> Exception | None:
    return next((worker.error for worker in workers if worker.error), None)


def _why(pair: Pair, error: Exception, snapshot: Snapshot) -> NotCopied:
    command = f"manage.py extract replicate {pair.module}"
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if isinstance(error, SnapshotGone):
        return NotCopied(f"the snapshot of the copy is gone ({reason}); the copy begins anew with: {command}")
    if isinstance(error, psycopg.Error):
        more = (error.diag.table_name and f"table {error.diag.table_name}", error.diag.message_hint)
        reason += "".join(f" ({each})" for each in more if each)
    return NotCopied(
        f"the copy was broken off: {reason}; mend that and go on: {command} (what is copied is kept, and the snapshot "
        f"for {snapshot.keep_s / 60:g} min)"
    )


@dataclass
class _Judge:
    """Says why the copy should rest."""

    pair: Pair
    source: Connection[Any]
    strain: Strain
    followers: list[Followers] = field(default_factory=list)

    @classmethod
    def of(cls, pair: Pair, source: Connection[Any], target: Connection[Any], limits: Limits) -> "_Judge":
        followers = [
            Followers(connection, except_for=f"{pair.name}_", most_mb=limits.max_lag_mb)
            for connection in (source, target)
        ]
        return cls(pair, source, Strain(source), followers)

    def told(self) -> str:
        """Also raises NotCopied once the source has thrown away what the slot needs."""
        found = self.source.execute(copying("slot_state"), {"slot": self.pair.out.name}).fetchone()
        if found is None or found[2] == "lost":
            raise NotCopied(
                f"the source has thrown away what slot {self.pair.out.name} was to keep (max_slot_wal_keep_size); "
                f"raise it there, ALTER SYSTEM SET max_slot_wal_keep_size = -1, and begin anew: "
                f"manage.py extract replicate {self.pair.module}"
            )
        return self.strain.told() or next(filter(None, (each.told() for each in self.followers)), "")
