"""Take the module back to the side that handed it over, where the other side does not open. Never both."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.cutover.copies import require_originals
from extraction.cutover.errors import Away, Busy, CutoverError, NotBetween
from extraction.cutover.sessions import (
    Place,
    limited,
    place,
    queries,
    session,
    within_lock_timeout,
)
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair, Side, Stream
from extraction.replicate.subscriptions import drop_subscription

HUNG_AFTER_S = 10.0
"""A side that says nothing for so long is taken for dead."""
LOCK_MS = 5000


@dataclass(frozen=True, slots=True)
class Between:
    """The module was handed over, and who was to take it has not said that it has."""

    giver: Side
    taker: Side
    epoch: int
    """As the giver says."""
    answers: bool
    """Whether the taker can be asked."""


@dataclass(frozen=True, slots=True)
class Loss:
    """What is known of the writes of a side that is given up."""

    received_lsn: str
    """Up to here of its write-ahead log, everything is on the other side; empty where that is not known."""
    sent_lsn: str
    """It is known to have come so far; empty where nobody listens any more."""
    gap_bytes: int | None
    heard_s_ago: float | None
    since: datetime
    """It was home from then on: what it wrote after `received_lsn` is not older than this."""

    def sentence(self, unit: str) -> str:
        heard = "" if self.heard_s_ago is None else f", last heard of {self.heard_s_ago:.0f} s ago"
        gap = "" if self.gap_bytes is None else f"; of {self.gap_bytes} bytes more it is known that they were written"
        return (
            f"lost: what {unit} wrote after {self.received_lsn or 'an unknown position'} of its log{gap}; it was home "
            f"since {self.since:%Y-%m-%d %H:%M:%S %Z}{heard}"
        )


@dataclass(frozen=True, slots=True)
class Recalled:
    """The giver is home again; with `loss` the other side was given up."""

    home: str
    epoch: int
    closed: str
    """The unit that will not open by an older epoch."""
    loss: Loss | None = None


def between(pair: Pair, *, command: str) -> Between:
    """Who gave and who has not taken. Raises NotBetween where the module has a home, and Away where nobody says."""
    said: dict[str, Place] = {}
    problem: CutoverError | None = None
    for side in (pair.source, pair.target):
        try:
            with session(pair, side, command=command) as connection, limited(HUNG_AFTER_S, connection):
                said[side.unit] = place(connection, pair.objects)
        except Away as error:
            problem = error
        except psycopg.OperationalError:
            problem = Away(f"the database of {side.unit} does not answer; start it, then run: {command}")
    if not said:
        assert problem is not None
        raise problem
    if len(said) == 2:
        require_originals(pair, *((each.home, each.epoch, each.least_epoch) for each in said.values()))
    unit, newest = max(said.items(), key=lambda each: each[1].epoch)
    if newest.home in said and said[newest.home].epoch >= newest.epoch:
        raise NotBetween(f"{pair.module} lives in {newest.home} since epoch {newest.epoch}: there is nothing to recall")
    if newest.home == unit:
        raise NotBetween(f"{pair.module} lives in {unit}, which says so itself: there is nothing to recall")
    return Between(pair.side(unit), pair.other(unit), newest.epoch, newest.home in said)


def recall(
    pair: Pair, *, command: str, seal: Callable[[str], None] | None = None, tell: Tell = lambda _: None
) -> Recalled:
    """Close the taker for every epoch up to now, then open the giver by the next.

    A taker that does not answer may be open: it is given up only where `seal` closes its server for good. Raises
    NotBetween, also where the taker has opened, Away, Busy, and what `seal` raises.
    """
    found = between(pair, command=command)
    if found.answers:
        _close(pair, found, command)
        tell(f"{found.taker.unit} does not open by epoch {found.epoch} any more")
        return _take_back(pair, found, epoch=found.epoch + 1, loss=None, command=command)
    if seal is None:
        raise Away(
            f"the database of {found.taker.unit} does not answer, and may have opened by epoch {found.epoch}: start "
            f"it, then run: {command}. If it is gone for good, with what was written there, run: "
            f"{command} --accept-loss REASON"
        )
    seal(found.taker.unit)
    tell(f"{found.taker.unit} is stopped, and would be closed if somebody started it")
    with session(pair, found.giver, command=command) as giver, limited(6 * HUNG_AFTER_S, giver):
        loss = _loss(pair, found, giver)
        # What the side that is given up wrote and did not send is not to arrive later.
        drop_subscription(_stream_from(pair, found.taker), giver)
    tell(loss.sentence(found.taker.unit))
    # By one more than it could have handed the module back by, which nobody would have heard of.
    return _take_back(pair, found, epoch=found.epoch + 2, loss=loss, command=command)


def was_recalled(pair: Pair, home: str, *, command: str) -> bool:
    """Whether this home came to be so by a recall. Raises Away."""
    with session(pair, pair.side(home), command=command) as connection:
        now = place(connection, pair.objects)
    return now.home == home and now.least_epoch == now.epoch > 0


def _close(pair: Pair, found: Between, command: str) -> None:
    """In one transaction with the look at the row, for which an arrival that is under way waits."""
    with session(pair, found.taker, command=command) as taker, limited(HUNG_AFTER_S, taker):
        try:
            with taker.transaction():
                within_lock_timeout(taker, LOCK_MS)
                taker.execute(queries("durably"))
                row = taker.execute(pair.objects.query("hold_row")).fetchone()
                if row is not None and row[0] == found.taker.unit:
                    raise NotBetween(
                        f"{pair.module} has opened in {found.taker.unit} (epoch {row[1]}); "
                        f"to take it back, run: manage.py extract "
                        f"{'rollback' if found.taker is pair.target else 'cutover'} {pair.module}"
                    )
                taker.execute(pair.objects.query("wait_for_epoch"), {"epoch": found.epoch + 1})
        except psycopg.errors.LockNotAvailable:
            raise Busy(
                f"sessions in {found.taker.unit} hold the placement row of {pair.module}; end them, then run: {command}"
            ) from None
        except psycopg.OperationalError:
            raise Away(f"the database of {found.taker.unit} does not answer; start it, then run: {command}") from None


def _take_back(pair: Pair, found: Between, *, epoch: int, loss: Loss | None, command: str) -> Recalled:
    given = {"epoch": epoch, "home": found.taker.unit, "known": found.epoch}
    with session(pair, found.giver, command=command) as giver, limited(HUNG_AFTER_S, giver):
        with giver.transaction():
            within_lock_timeout(giver, LOCK_MS)
            giver.execute(queries("durably"))
            taken = giver.execute(pair.objects.query("take_back"), given)
        if taken.rowcount != 1:
            raise NotBetween(
                f"the row of {pair.module} in {found.giver.unit} has changed meanwhile; run: "
                f"manage.py extract status {pair.module}"
            )
    return Recalled(found.giver.unit, epoch, found.taker.unit, loss)


def _loss(pair: Pair, found: Between, giver: Connection[Any]) -> Loss:
    placement = sql.Identifier(pair.schema, pair.objects.placement)
    try:
        given = {"subscription": _stream_from(pair, found.taker).name}
        row = giver.execute(queries("received", placement=placement), given).fetchone()
    except psycopg.errors.InsufficientPrivilege:  # nothing hangs on it: what is lost is lost
        row = ("", "", None, None, *(giver.execute(queries("since", placement=placement)).fetchone() or ()))
    assert row is not None
    return Loss(*row)


def _stream_from(pair: Pair, side: Side) -> Stream:
    return pair.back if side is pair.target else pair.out
