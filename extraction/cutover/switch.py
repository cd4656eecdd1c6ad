"""The switch: one transaction at the home hands it over, and the other side opens when the row arrives."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection

from extraction.cutover.errors import Away, Behind, NotFollowing, NotOpen, Overtaken, Unclear
from extraction.cutover.failpoints import failpoint
from extraction.cutover.large import require_small
from extraction.cutover.sequences import advance, sequences
from extraction.cutover.sequences import rehearse as rehearse_advance
from extraction.cutover.sessions import POLL_S, Place, application, ask, limited, place, queries, session, settled
from extraction.cutover.still import Still, attempting, still
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair

GRACE_S = 0.05
"""Sessions that hold the row up on the other side may end by themselves for so long."""
AGAIN_S = 0.1
"""Between two attempts to reach a side after the commit."""
UNCLEAR_AFTER_S = 10.0
NO_EPOCH = -1
"""Of no row."""


@dataclass(frozen=True, slots=True)
class Switch:
    """What moved, and for how long writers were refused.

    Where the module lived there already `attempts` is 0 and nothing was held.
    """

    from_unit: str
    to_unit: str
    epoch: int
    lock_to_commit_ms: float
    lock_to_open_ms: float
    attempts: int
    began_at: datetime
    opened_at: datetime


def switch(
    pair: Pair,
    *,
    to: str,
    max_pause_ms: int = 300,
    attempts: int = 20,
    open_within_s: float = 30.0,
    tell: Tell = lambda _: None,
) -> Switch:
    """Move the module's home to this unit; where it lives there already, say so and change nothing.

    Writers are refused for at most `max_pause_ms` in each attempt, until the other side opens in the last. Raises
    KeyError for a unit of neither side, and CutoverError.
    """
    pair.side(to)
    command = f"manage.py extract {'cutover' if to == pair.target.unit else 'rollback'} {pair.module}"
    began_at = datetime.now(UTC)
    now, is_settled = settled(pair, command=command)
    if now.home == to:
        if not is_settled:
            _wait_until_open(pair, now, open_within_s, command, tell)
        tell(f"{pair.module} lives in {to} already, since epoch {now.epoch}")
        return Switch(pair.other(to).unit, to, now.epoch, 0.0, 0.0, 0, began_at, datetime.now(UTC))
    if not is_settled:
        raise NotFollowing(
            f"{pair.module} lives in {now.home}, and {to} has not heard of epoch {now.epoch}; wait for its stream, "
            f"then run: {command}"
        )

    def attempt(number: int) -> Switch:
        return _attempt(pair, now, number, max_pause_ms, open_within_s, command, began_at, tell)

    return attempting(attempt, attempts=attempts, tell=tell)


def _attempt(
    pair: Pair,
    before: Place,
    number: int,
    max_pause_ms: int,
    open_within_s: float,
    command: str,
    began_at: datetime,
    tell: Tell,
) -> Switch:
    to = pair.other(before.home).unit
    after = Place(to, before.epoch + 1)
    with session(pair, pair.side(before.home), command=command) as home:
        found = sequences(home, pair)
        require_small(pair, home, pair.side(before.home), command=command)

    def rehearse(held: Still) -> None:
        rehearse_advance(found, home=held.home, other=held.away)
        with held.lock.transaction(force_rollback=True):
            held.lock.execute(queries("lock_timeout"), {"timeout": f"{max_pause_ms}ms"})
            held.lock.execute(pair.objects.query("hand_over"), {"to": to, "epoch": NO_EPOCH})

    failpoint("cutover.before_lock")
    with still(pair, home=before.home, max_pause_ms=max_pause_ms, command=command, rehearse=rehearse) as held:
        failpoint("cutover.locked")
        beat = held.beat()
        advance(found, home=held.home, other=held.away, command=command)
        held.prove(beat)
        handed = held.lock.execute(pair.objects.query("hand_over"), {"to": to, "epoch": before.epoch})
        if handed.rowcount != 1:
            raise Overtaken(
                f"{pair.module} is no longer in epoch {before.epoch} in {before.home}: somebody else moves it; "
                f"run: manage.py extract status {pair.module}"
            )
        failpoint("cutover.before_commit")
        _commit(held, before, after)
        committed = time.perf_counter()
        failpoint("cutover.after_commit")
        if not _is_open(held.away, pair, after, time.monotonic() + open_within_s, tell):
            _wait_until_open(pair, after, open_within_s, command, tell)
        opened = time.perf_counter()
    return Switch(
        from_unit=before.home,
        to_unit=to,
        epoch=after.epoch,
        lock_to_commit_ms=(committed - held.began) * 1000,
        lock_to_open_ms=(opened - held.began) * 1000,
        attempts=number,
        began_at=began_at,
        opened_at=datetime.now(UTC),
    )


def _commit(held: Still, before: Place, after: Place) -> None:
    """Commit, or find out whether it was when the connection broke. Raises Behind where it was not, and Unclear."""
    pid = held.lock.info.backend_pid
    try:
        held.lock.commit()
    except psycopg.Error:
        if not _was_committed(held, pid, after):
            raise Behind(
                f"the connection to {before.home} broke before the commit, and nothing has changed; run: {held.command}"
            ) from None


def _was_committed(held: Still, pid: int, after: Place) -> bool:
    """What the row says once the session that was to commit has ended, or what has arrived on the other side."""
    pair, end = held.pair, time.monotonic() + UNCLEAR_AFTER_S
    while time.monotonic() < end:
        try:
            with session(pair, held.side, command=held.command) as home, limited(UNCLEAR_AFTER_S, home):
                running = home.execute(queries("is_running"), {"pid": pid, "application": application(pair)}).fetchone()
                if running == (False,):
                    return place(home, pair.objects).epoch >= after.epoch
        except (Away, psycopg.OperationalError):
            pass
        try:
            with session(pair, held.other, command=held.command) as other, limited(UNCLEAR_AFTER_S, other):
                if place(other, pair.objects).epoch >= after.epoch:
                    return True
        except (Away, psycopg.OperationalError):
            pass
        time.sleep(AGAIN_S)
    raise Unclear(
        f"the connection to {held.side.unit} broke while {pair.module} was handed over, and it does not answer: either "
        f"nothing has changed or {after.home} opens by itself. Start the database of {held.side.unit}, then run: "
        f"manage.py extract status {pair.module}"
    )


def _wait_until_open(pair: Pair, after: Place, within_s: float, command: str, tell: Tell) -> None:
    """Return as soon as the new home has the row, also when its server comes back only now. Raises NotOpen."""
    end, side = time.monotonic() + within_s, pair.side(after.home)
    tell(f"{pair.module} has moved; {after.home} opens as soon as it hears of epoch {after.epoch}")
    while time.monotonic() < end:
        try:
            with session(pair, side, command=command) as new, limited(within_s, new):
                if _is_open(new, pair, after, end, tell):
                    return
        except Away:
            pass
        time.sleep(AGAIN_S)
    # What coordinates is in the source's database: where that cannot open, nothing can be recalled either.
    recalled = f". If it cannot open, take the module back: manage.py extract recall {pair.module}"
    raise NotOpen(
        f"{pair.module} has moved to {after.home} (epoch {after.epoch}), whose database has not heard of it within "
        f"{within_s:g} s. Start that database, and it opens by itself; see: manage.py extract status {pair.module}, "
        f"then run: {command}{recalled if side is pair.target else ''}"
    )


def _is_open(new: Connection[Any], pair: Pair, after: Place, end: float, tell: Tell) -> bool:
    """Whether it opened before the end; False as soon as the connection breaks."""
    patient_until, beyond = time.monotonic() + GRACE_S, set[str]()
    try:
        while place(new, pair.objects).epoch < after.epoch:
            if time.monotonic() > end:
                return False
            if time.monotonic() > patient_until:
                _end_blockers(new, pair, beyond, tell)
                patient_until = time.monotonic() + GRACE_S
            time.sleep(POLL_S)
    except psycopg.OperationalError:
        return False
    return True


def _end_blockers(new: Connection[Any], pair: Pair, beyond: set[str], tell: Tell) -> None:
    """A row that somebody has locked on the other side keeps the news out, without limit; `beyond`: not ours to end."""
    for pid, who, role, name, ends in ask(new, pair, "blockers"):
        if who in beyond:
            continue
        whose = f"{who} of {role} ({name or 'unnamed'}), whose lock keeps {pair.module} closed"
        if not pid:  # what was promised to somebody
            beyond.add(who)
            tell(f"nobody but its owner may end {whose}; commit it, or run there: {ends};")
            continue
        try:
            new.execute(queries("end_session"), {"pid": pid})
        except psycopg.errors.InsufficientPrivilege:
            beyond.add(who)
            tell(f"only a superuser may end {whose}; run there as one: {ends};")
        else:
            tell(f"ended {whose}")
