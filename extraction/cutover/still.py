"""A module that stands still: no transaction is writing it at its home, and the other side has all that was written."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import psycopg
from psycopg import Connection

from extraction.cutover.copies import require_heard
from extraction.cutover.errors import Behind, Busy, NotFollowing
from extraction.cutover.sessions import POLL_S, ask, away, limited, queries, session
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import LostBack, Reconnecting, is_complete

LEAST_PAUSE_MS = 10
"""To the server a timeout of 0 is none."""
LONGEST_WAIT_S = 1.0
"""Between two attempts."""
FIRST_WAIT_S = 0.05
HUNG_AFTER_S = 10.0
"""A side that says nothing for so long is taken for dead; the pause has long ended on the server."""

ENDED_BY_THE_SERVER = (
    psycopg.errors.TransactionTimeout,
    psycopg.errors.IdleInTransactionSessionTimeout,
    psycopg.errors.QueryCanceled,
)

T = TypeVar("T")


@dataclass(frozen=True)
class Still:
    """The home's lock is held, and writers are refused until its transaction ends.

    `lock` is in that transaction. `home` and `away` are sessions of their own on either side.
    """

    pair: Pair
    side: Side
    """The home."""
    other: Side
    lock: Connection[Any]
    home: Connection[Any]
    away: Connection[Any]
    pause_ms: int
    command: str
    """What to type next when this fails."""
    began: float = 0.0
    """When the lock was asked for, which is when the first writer may have been refused; of time.perf_counter()."""

    def beat(self) -> int:
        """Commit a heartbeat behind everything that was committed before."""
        return _beat(self.home, self.pair)

    def prove(self, beat: int) -> None:
        """Return as soon as the other side has that heartbeat, and so all before it. Raises Behind, NotFollowing."""
        spent_s = time.perf_counter() - self.began
        _require_complete(self.pair, self.home, self.away, self.side, self.command)
        self._arrived(beat, spent_s)

    def arrived(self, beat: int) -> None:
        """The same for who compares the rows: a table that does not follow is seen by that. Raises Behind."""
        self._arrived(beat, time.perf_counter() - self.began)

    def _arrived(self, beat: int, spent_s: float) -> None:
        _follow(self.pair, self.away, self.side, beat, self.pause_ms * 0.8 / 1000 - spent_s, self.command)


@contextmanager
def still(
    pair: Pair,
    *,
    home: str,
    max_pause_ms: int,
    command: str,
    rehearse: Callable[[Still], None] = lambda _: None,
) -> Iterator[Still]:
    """Hold the module still, once what can be checked without holding it has been; end by a ROLLBACK unless committed.

    `rehearse` asks before the lock, in the same sessions, what will be asked under it: the first time is the slowest.
    The server ends the pause after `max_pause_ms`, whatever becomes of this process. Raises Away, NotFollowing, Busy,
    and ValueError for a pause that is no limit to the server.
    """
    if max_pause_ms < LEAST_PAUSE_MS:
        raise ValueError(f"a pause of {max_pause_ms} ms is too short to prove anything: {LEAST_PAUSE_MS} is the least")
    side, other = pair.side(home), pair.other(home)
    with (
        session(pair, side, command=command) as lock,
        session(pair, side, command=command) as beats,
        session(pair, other, command=command) as elsewhere,
        limited(HUNG_AFTER_S + max_pause_ms / 1000, lock, beats, elsewhere),
    ):
        try:
            checked = Still(pair, side, other, lock, beats, elsewhere, max_pause_ms, command)
            for connection in (lock, beats, elsewhere):
                connection.prepare_threshold = 0
                connection.execute(queries("plan_once"))
            for connection in (beats, elsewhere):
                connection.execute(queries("flush"))
            _warm(lock, pair)
            rehearse(checked)
            _check(pair, beats, elsewhere, side, max_pause_ms, command)
            with _locked(checked) as held:
                yield held
        except psycopg.OperationalError as error:
            raise away(other if elsewhere.closed else side, error, command=command) from None


def attempting(attempt: Callable[[int], T], *, attempts: int, tell: Tell) -> T:
    """What the attempt returns, made again with growing pauses while the module is Busy or the other side Behind."""
    number, wait_s = 1, FIRST_WAIT_S
    while True:
        try:
            return attempt(number)
        except (Busy, Behind) as error:
            if number >= attempts:
                raise
            tell(f"attempt {number} of {attempts}: {error.args[0].partition(';')[0]}")
        time.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311
        number, wait_s = number + 1, min(2 * wait_s, LONGEST_WAIT_S)


@contextmanager
def _locked(checked: Still) -> Iterator[Still]:
    lock, pause_ms = checked.lock, checked.pause_ms
    held = replace(checked, began=time.perf_counter())
    try:
        lock.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        lock.execute(queries("bound"), {"lock": f"{pause_ms // 2}ms", "pause": f"{pause_ms}ms"})
        lock.execute(held.pair.objects.query("lock"))
        yield held
    except psycopg.errors.LockNotAvailable:
        raise _busy(held.pair, held.home, held.command) from None
    except ENDED_BY_THE_SERVER:
        raise Behind(
            f"the pause of {pause_ms} ms was over before all was proven; when the machines are less busy, "
            f"run: {held.command}"
        ) from None
    finally:
        # A connection that broke, or that the server ended, has rolled back; the first error is the one to tell.
        with suppress(psycopg.Error):
            lock.rollback()


def _warm(lock: Connection[Any], pair: Pair) -> None:
    """What a new session looks up first it does not look up in the pause: some 6 ms on a busy machine."""
    limit = f"{HUNG_AFTER_S:.0f}s"
    with lock.transaction(force_rollback=True):
        lock.execute(queries("bound"), {"lock": limit, "pause": limit})
        lock.execute(pair.objects.query("read"))


def _check(pair: Pair, home: Connection[Any], other: Connection[Any], side: Side, pause_ms: int, command: str) -> None:
    # First of all: on a copy, what seems to mend the rest makes it worse.
    require_heard(pair, side.unit, own=home, seen=other)
    require_heard(pair, pair.other(side.unit).unit, own=other, seen=home)
    _require_complete(pair, home, other, side, command)
    _follow(pair, other, side, _beat(home, pair), pause_ms / 2 / 1000, command)
    if any(age_ms > pause_ms / 2 for *_, age_ms in ask(home, pair, "holders")):
        raise _busy(pair, home, command)


def _beat(connection: Connection[Any], pair: Pair) -> int:
    row = connection.execute(pair.objects.query("beat")).fetchone()
    assert row is not None
    return int(row[0])


def _follow(pair: Pair, other: Connection[Any], side: Side, beat: int, within_s: float, command: str) -> None:
    end = time.perf_counter() + within_s
    query, unit = pair.objects.query("beat_of"), {"unit": side.unit}
    while (other.execute(query, unit).fetchone() or (0,))[0] < beat:
        if time.perf_counter() > end:
            raise _behind(pair, other, side, within_s, command)
        time.sleep(POLL_S)


def _behind(pair: Pair, other: Connection[Any], side: Side, within_s: float, command: str) -> Behind:
    within_ms = max(within_s, 0) * 1000
    late = f"what {side.unit} commits did not arrive in {pair.other(side.unit).unit} within {within_ms:.0f} ms"
    if blockers := ask(other, pair, "blockers"):
        sessions = ", ".join(f"{who} of {role} ({name or 'unnamed'})" for _, who, role, name, _ in blockers)
        return Behind(f"{late}: there it waits for {sessions}; end that with {blockers[0][-1]}, then run: {command}")
    return Behind(f"{late}; wait until it has caught up, then run: {command}")


def _busy(pair: Pair, home: Connection[Any], command: str) -> Busy:
    holders = ask(home, pair, "holders")
    if not holders:
        return Busy(f"writers of {pair.module} did not end within the pause, each time others; run again: {command}")
    sessions = ", ".join(
        f"{who} of {role} ({name or 'unnamed'}, open for {age_ms} ms)" for who, role, name, age_ms in holders[:5]
    )
    return Busy(
        f"open transactions have written {pair.module}: {sessions}; let them end or end them, then run: {command}"
    )


def _require_complete(pair: Pair, home: Connection[Any], other: Connection[Any], side: Side, command: str) -> None:
    reasons = is_complete(pair, on={side.unit: home, pair.other(side.unit).unit: other})
    if not reasons:
        return
    why = f"{pair.module} is not replicated whole: {', '.join(reasons)}"
    if all(isinstance(reason, Reconnecting) for reason in reasons):
        raise Behind(f"{why}; wait until it is, then run: {command}")
    if side is pair.target and any(isinstance(reason, LostBack) for reason in reasons):
        raise NotFollowing(
            f"{why}; what {side.unit} has written since is there alone, and there is no way back. To go on: "
            f'manage.py extract complete {pair.module} --override "the stream back is lost"'
        )
    raise NotFollowing(f"{why}; run: manage.py extract replicate {pair.module}, then: {command}")
