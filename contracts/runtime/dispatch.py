"""Deliveries: claimed, handled once, done or tried again later."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from django.db import DatabaseError, InterfaceError, OperationalError

from contracts.runtime import tracing
from contracts.runtime.configuration import Remote, configuration
from contracts.runtime.definitions import event_types, module_of
from contracts.runtime.envelope import Envelope, acknowledge_to, resume_at, send_to
from contracts.runtime.errors import HandlerInTransaction, Refused, UnknownEvent
from contracts.runtime.following import operation, patiently
from contracts.runtime.handlers import handler
from contracts.runtime.outbox import LEASE_S, MOST_ATTEMPTS, run
from contracts.runtime.transactions import open_transactions, transaction

log = structlog.get_logger(__name__)

AWAY_PAUSE_S = 10.0
IN_MOTION_PAUSE_S = 0.05


def dispatch(module: str, ids: Sequence[int]) -> None:
    """Deliver fresh events of a module now; what fails stays with the relay."""
    for delivery_id in ids:
        drain_key(module, delivery_id)


def drain_key(module: str, delivery_id: int | None) -> None:
    """Deliver one, then what it was holding up. A delivery that is not the head of its key is left alone.

    When the publisher moves away meanwhile, the rest is its new home's, which is told; its relay has the rows anyway.
    """
    try:
        while delivery_id is not None:
            claimed = keep(module, "claim", id=delivery_id, lease_s=LEASE_S)
            delivery_id = deliver(module, claimed) if claimed else None
    except Refused as refused:
        log.info("delivery left to its home", delivery=delivery_id, module=refused.module, home=refused.home)
        if delivery_id is not None:
            _tell_home(refused, partial(resume_at, publisher=module, delivery_id=delivery_id))


def deliver(module: str, claimed: tuple[Any, ...]) -> int | None:
    """Bring a claimed delivery to its subscriber. When it is handled, the delivery that it was holding up.

    Raises Refused when the publisher itself is not at home here any more.
    """
    delivery_id, subscriber, attempts, *event = claimed
    try:
        envelope = _envelope(module, *event)
        remote = configuration.resolve(module_of(subscriber)) or _handle_here(subscriber, envelope)
        if remote is not None:
            try:
                send_to(remote.unit, module=module, delivery_id=delivery_id, subscriber=subscriber, envelope=envelope)
            except Exception as error:  # each transport has errors of its own
                postpone(module, delivery_id, subscriber, error)
            else:
                keep(module, "sent", id=delivery_id)
            return None
    except _InMotion as error:
        keep(module, "postpone", id=delivery_id, error=str(error), in_s=IN_MOTION_PAUSE_S)
        return None
    except Refused:
        raise
    except Exception as error:
        if says_nothing_of_the_event(error):
            postpone(module, delivery_id, subscriber, error)
        else:
            record_failure(module, delivery_id, subscriber, attempts, error)
        return None
    try:
        done = keep(module, "succeed", id=delivery_id)
    except Refused as refused:
        told = {"publisher": module, "delivery_id": delivery_id, "subscriber": subscriber, "error": ""}
        _tell_home(refused, partial(acknowledge_to, **told))
        raise
    return done[0] if done else None


def handle(subscriber: str, envelope: Envelope) -> bool:
    """Run a handler once for this event, in its own transaction. False when it was handled before.

    Raises UnknownSubscriber, UnknownEvent, HandlerInTransaction, Refused when its module is not at home here, and
    whatever the handler raises.
    """
    if still_open := open_transactions():
        raise HandlerInTransaction(
            f"{subscriber} was started inside a transaction of {', '.join(still_open)}; events are handled after commit"
        )
    known = handler(subscriber)
    struct = event_types().get(envelope.type)
    if struct is not known.event:
        raise UnknownEvent(f"{subscriber} hears {known.event.__name__}, not {envelope.type!r}")
    event = msgspec.json.decode(envelope.data, type=struct)
    module = module_of(subscriber)
    with (
        tracing.continued(envelope.traceparent),
        operation("handler", subscriber),
        transaction(module),
    ):
        if not run(module, "first_time", subscriber=subscriber, event_id=envelope.id):
            return False
        known.function(event)
    return True


def record_failure(module: str, delivery_id: int, subscriber: str, attempts: int, error: Exception | str) -> None:
    """Try again after a pause that doubles, or give up after so many attempts."""
    text = error if isinstance(error, str) else described(error)
    after = keep(
        module,
        "fail",
        id=delivery_id,
        error=text[:2000],
        in_s=pause_s(attempts),
        most_attempts=MOST_ATTEMPTS,
    )
    state = after[0] if after else "done"
    tell = log.error if state == "dead" else log.warning
    tell("delivery failed", delivery=delivery_id, subscriber=subscriber, attempts=attempts, state=state, error=text)


def postpone(module: str, delivery_id: int, subscriber: str, error: Exception) -> None:
    """Try again within AWAY_PAUSE_S, and never give up: what went wrong says nothing of the event."""
    text = described(error)
    keep(module, "postpone", id=delivery_id, error=text[:2000], in_s=0.2 + random.uniform(0, AWAY_PAUSE_S))  # noqa: S311
    log.warning("delivery postponed", delivery=delivery_id, subscriber=subscriber, error=text)


def keep(module: str, query: str, **parameters: Any) -> Any:
    """Keep the books of a delivery, in a commit of its own. Raises Refused when the module moved away."""
    return patiently("bookkeeping", query, lambda: run(module, query, **parameters))


def described(error: Exception) -> str:
    """Its class and message; of what a server says only the first line, for its DETAIL shows the row, card and all."""
    cause = error.__cause__ if isinstance(error, DatabaseError) else error
    said = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return f"{type(error).__name__}: {said or error}"


def says_nothing_of_the_event(error: Exception) -> bool:
    """True for a database that is away, and for one where others were in the way.

    Away: not reached, shutting down, no connection left (SQLSTATE 08, 57P, 53). In the way: a lock not got in time, a
    deadlock, a serialization failure (55P03, 40P01, 40001).
    """
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    return state is None or state.startswith(("08", "57P", "53")) or state in ("55P03", "40P01", "40001")


def pause_s(attempts: int) -> float:
    """Seconds before the next attempt: full jitter under 1, 2, 4 … 300 s, and never under 0.2."""
    return 0.2 + random.uniform(0, min(300.0, 2.0 ** (attempts - 1)))  # noqa: S311


class _InMotion(Exception):
    """The subscriber's module is between two homes."""


def _handle_here(subscriber: str, envelope: Envelope) -> Remote | None:
    """Handled, unless the database said that the module moved: then where it lives now."""
    try:
        handle(subscriber, envelope)
        return None
    except Refused as refused:
        remote = None if refused.in_motion else configuration.resolve(module_of(subscriber))
        if remote is None:
            raise _InMotion(str(refused)) from refused
        return remote


def _tell_home(refused: Refused, tell: Callable[[str], None]) -> None:
    """Else the home would wait for the lease or the relay, and with it whatever this delivery holds up."""
    if refused.in_motion:
        return
    try:
        tell(refused.home)
    except Exception as error:  # each transport has errors of its own
        log.warning("the new home was not told", module=refused.module, home=refused.home, error=described(error))


def _envelope(
    module: str, event_id: UUID, type_name: str, key: str, data: str, traceparent: str, occurred_at: datetime
) -> Envelope:
    return Envelope(
        id=event_id,
        source=f"/shop/{module}",
        type=type_name,
        subject=key,
        time=occurred_at,
        data=msgspec.Raw(data.encode()),
        traceparent=traceparent,
    )
