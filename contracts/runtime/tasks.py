"""The relay: what in-process dispatch left behind, and what belongs to another unit."""

import time

import msgspec
import structlog
from celery import shared_task

from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import definitions, module_of
from contracts.runtime.dispatch import deliver, described, drain_key, handle, keep, record_failure
from contracts.runtime.envelope import Envelope, acknowledge_to
from contracts.runtime.errors import Refused
from contracts.runtime.following import operation
from contracts.runtime.outbox import LEASE_S, MOST_ATTEMPTS, run

log = structlog.get_logger(__name__)

BATCH = 50
RELAY_FOR_S = 5.0
"""For one module. All of them together, and the last handler, stay under the time limit of a task."""
ORPHAN_AFTER_S = 3600.0
"""Longer than a new version takes to be in every process."""
PURGED_AT_ONCE = 1000
KEEP_EVENTS_DAYS = 7
KEEP_INBOX_DAYS = 90
KEEP_ANSWERS_DAYS = 30


class RelayFailed(Exception):
    """Some modules' events could not be relayed; the others' were."""


@shared_task(ignore_result=True)
def relay_all() -> None:
    """Relay the events of every module that lives here. One whose database is away does not hold up the others."""
    failed = []
    for module in sorted(configuration.modules):
        try:
            if configuration.at_home(module):
                with operation("relay", module):
                    relay(module)
        except Refused as refused:
            log.info("relay stands by", module=module, home=refused.home)
        except Exception:
            log.exception("relay failed", module=module)
            failed.append(module)
    if failed:
        raise RelayFailed(f"{', '.join(failed)}: the relay comes again in a second; the log says why")


def relay(module: str) -> int:
    """Deliver what is due, until nothing is or the time is up. Returns how many deliveries it took."""
    known = [name for definition in definitions().values() for name in definition.hears]
    if orphans := run(
        module,
        "orphans",
        subscribers=known,
        after_s=ORPHAN_AFTER_S,
        error="no contract names this subscriber: renamed or removed",
    ):
        log.error("deliveries without a subscriber", module=module, deliveries=[row[0] for row in orphans])
    if exhausted := run(
        module,
        "exhausted",
        subscribers=[name for name in known if configuration.resolve(module_of(name)) is None],
        most_attempts=MOST_ATTEMPTS,
        error="no attempt came to an end: each killed its process, or was killed for its time",
    ):
        log.error("deliveries that end their process", module=module, deliveries=[row[0] for row in exhausted])
    taken, end = 0, time.monotonic() + RELAY_FOR_S
    while time.monotonic() < end:
        claimed = run(module, "claim_due", subscribers=known, lease_s=LEASE_S, most=BATCH)
        for position, (delivery_id, lease_until) in enumerate(claimed):
            if time.monotonic() >= end:
                keep(module, "give_back", ids=[row[0] for row in claimed[position:]], lease_until=lease_until)
                return taken
            attempt = keep(module, "attempt", id=delivery_id, lease_until=lease_until, lease_s=LEASE_S)
            if attempt is not None:
                deliver(module, attempt)
                taken += 1
        if not claimed:
            break
    return taken


@shared_task(ignore_result=True)
def receive(*, publisher: str, publisher_unit: str, delivery_id: int, subscriber: str, envelope: str) -> None:
    """Handle an event of another unit, once, and tell its publisher."""
    error = ""
    try:
        handle(subscriber, msgspec.json.decode(envelope, type=Envelope))
    except Refused:
        raise  # follows the subscriber's module
    except Exception as problem:
        error = described(problem)
    acknowledge_to(publisher_unit, publisher=publisher, delivery_id=delivery_id, subscriber=subscriber, error=error)


@shared_task(ignore_result=True)
def acknowledge(*, publisher: str, delivery_id: int, subscriber: str, error: str) -> None:
    """Another unit handled a delivery, or could not."""
    if not error:
        done = run(publisher, "succeed", id=delivery_id)
        drain_key(publisher, done[0] if done else None)
        return
    attempts = run(publisher, "tried_elsewhere", id=delivery_id)
    if attempts is not None:
        record_failure(publisher, delivery_id, subscriber, attempts[0], error)


@shared_task(ignore_result=True)
def resume(*, publisher: str, delivery_id: int) -> None:
    """Go on with a delivery that another unit had to leave when the publisher moved here."""
    drain_key(publisher, delivery_id)


@shared_task(ignore_result=True)
def purge_all() -> None:
    """Delete events that are done, inbox entries that no replay can need, and old answers to idempotency keys."""
    for module in sorted(configuration.modules):
        try:
            if configuration.at_home(module):
                with operation("purge", module):
                    purge(module, days=KEEP_EVENTS_DAYS)
        except Refused as refused:
            log.info("purge stands by", module=module, home=refused.home)


def purge(module: str, *, days: int) -> int:
    """Delete events of this module whose every delivery is done since so many days. Returns how many."""
    deleted = 0
    while run(module, "purge_deliveries", days=days, most=PURGED_AT_ONCE):
        deleted += run(module, "purge_events", days=days, most=PURGED_AT_ONCE)
    while count := run(module, "purge_events", days=days, most=PURGED_AT_ONCE):
        deleted += count
    while run(module, "purge_inbox", days=max(days, KEEP_INBOX_DAYS), most=PURGED_AT_ONCE):
        pass
    while run(module, "purge_answers", days=max(days, KEEP_ANSWERS_DAYS), most=PURGED_AT_ONCE):
        pass
    return deleted
