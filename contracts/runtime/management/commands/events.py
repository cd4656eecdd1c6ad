"""`manage.py events list | show | replay | purge`: what the outboxes of this unit hold, and how a dead key goes on."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Count
from django.utils import timezone

from contracts.runtime import outbox, tasks
from contracts.runtime.configuration import configuration
from contracts.runtime.dispatch import drain_key
from contracts.runtime.errors import Refused
from contracts.runtime.following import operation
from contracts.runtime.models import Delivery, InboxEntry, OutboxEvent


class Command(BaseCommand):
    help = "Lists, shows, replays and purges the events of this unit's modules."

    def add_arguments(self, parser: ArgumentParser) -> None:
        modules = sorted(configuration.modules)
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list | show | replay | purge")

        listing = verbs.add_parser("list", help="deliveries, the newest first")
        listing.add_argument("--module", choices=modules, help="the publisher; all where none is named")
        listing.add_argument("--state", choices=Delivery.State.values, help="pending, done or dead")
        listing.add_argument("--subscriber")
        listing.add_argument("--limit", type=_count, default=50, help="rows (default: 50)")
        listing.add_argument("--json", action="store_true")

        show = verbs.add_parser("show", help="one event, its deliveries and their last errors")
        show.add_argument("event", type=_uuid)

        replay = verbs.add_parser("replay", help="try dead deliveries again, the oldest first")
        replay.add_argument("event", type=_uuid, nargs="?", help="one event; with --dead, all that are dead")
        replay.add_argument("--dead", action="store_true", help="every dead delivery")
        replay.add_argument("--module", choices=modules)
        replay.add_argument("--subscriber")
        replay.add_argument("--dry-run", action="store_true")

        purge = verbs.add_parser("purge", help="delete events whose every delivery is done")
        purge.add_argument(
            "--older-than", type=int, default=tasks.KEEP_EVENTS_DAYS, metavar="DAYS", help="default: %(default)s"
        )
        purge.add_argument("--module", choices=modules)
        purge.add_argument("--dry-run", action="store_true")

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        if not configuration.modules:
            raise CommandError("No module is installed in this unit: set SHOP_MODULES.")
        try:
            with operation("command", f"events {verb}"):
                getattr(self, f"_{verb}")(**options)
        except Refused as refused:
            raise CommandError(
                f"{refused}. Type it again in a second, where the module lives: manage.py events {verb}"
            ) from refused

    def _list(
        self, *, module: str | None, state: str | None, subscriber: str | None, limit: int, json: bool, **_: Any
    ) -> None:
        rows = []
        for publisher in _modules(module):
            found = Delivery.objects.using(publisher).select_related("event").order_by("-id")
            if state:
                found = found.filter(state=state)
            if subscriber:
                found = found.filter(subscriber=subscriber)
            rows += [_row(publisher, delivery) for delivery in found[:limit]]
        rows.sort(key=lambda row: row["occurred_at"], reverse=True)
        if json:
            self._json(rows[:limit])
            return
        for row in rows[:limit]:
            self.stdout.write(
                f"{row['occurred_at']:%Y-%m-%d %H:%M:%S}  {row['state']:<7}  {row['event']}  {row['type']} → "
                f"{row['subscriber']}  {row['key']}" + (f"  ({row['last_error']})" if row["last_error"] else "")
            )
        for publisher in _modules(module):
            counts = dict(
                Delivery.objects.using(publisher).values_list("state").annotate(Count("id")).order_by("state")
            )
            told = ", ".join(f"{counts[name]} {name}" for name in Delivery.State.values if name in counts)
            self.stdout.write(f"{publisher}: {told or 'no deliveries'}")

    def _show(self, *, event: UUID, **_: Any) -> None:
        publisher, found = _event(event)
        deliveries = list(found.deliveries.using(publisher).order_by("id"))
        self._json(
            {
                "module": publisher,
                "id": found.id,
                "type": found.type,
                "key": found.key,
                "occurred_at": found.occurred_at,
                "data": found.data,
                "deliveries": [
                    {
                        "subscriber": delivery.subscriber,
                        "state": delivery.state,
                        "attempts": delivery.attempts,
                        "available_at": delivery.available_at,
                        "done_at": delivery.done_at,
                        "last_error": delivery.last_error,
                        "held_up_by": _held_up_by(publisher, delivery),
                        "in_inbox": _in_inbox(delivery.subscriber, found.id),
                    }
                    for delivery in deliveries
                ],
            }
        )

    def _replay(
        self,
        *,
        event: UUID | None,
        dead: bool,
        module: str | None,
        subscriber: str | None,
        dry_run: bool,
        **_: Any,
    ) -> None:
        if (event is None) == (not dead):
            raise CommandError("Name one event, or --dead for all: manage.py events list --state dead")
        publishers = [_event(event)[0]] if event else _modules(module)
        handled = failed = 0
        for publisher in publishers:
            found = Delivery.objects.using(publisher).filter(state=Delivery.State.DEAD).order_by("event", "id")
            if event:
                found = found.filter(event__id=event)
            if subscriber:
                found = found.filter(subscriber=subscriber)
            for delivery in list(found.select_related("event")):
                told = f"{delivery.event.type} {delivery.key} → {delivery.subscriber}"
                if dry_run:
                    self.stdout.write(f"would replay {told}")
                    continue
                outbox.run(publisher, "replay", id=delivery.pk)
                drain_key(publisher, delivery.pk)
                delivery.refresh_from_db(using=publisher)
                done = delivery.state == Delivery.State.DONE
                handled, failed = handled + done, failed + (not done)
                self.stdout.write(f"{told}: {'handled' if done else delivery.last_error or 'waits for its turn'}")
        if dry_run:
            return
        if not handled + failed:
            self.stdout.write("Nothing is dead here; there is nothing to replay.")
            return
        self.stdout.write(f"{handled} handled, {failed} not yet")
        if failed:
            raise CommandError("The relay tries again; see why: manage.py events list --state pending")

    def _purge(self, *, older_than: int, module: str | None, dry_run: bool, **_: Any) -> None:
        if older_than < 0:
            raise CommandError("--older-than takes days, 0 or more.")
        for publisher in _modules(module):
            if dry_run:
                before = timezone.now() - timedelta(days=older_than)
                kept = Delivery.objects.using(publisher).exclude(state=Delivery.State.DONE, done_at__lte=before)
                count = (
                    OutboxEvent.objects.using(publisher)
                    .filter(occurred_at__lt=before)
                    .exclude(pk__in=kept.values("event"))
                    .count()
                )
                self.stdout.write(f"{publisher}: would delete {count} events")
            else:
                self.stdout.write(f"{publisher}: deleted {tasks.purge(publisher, days=older_than)} events")

    def _json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, default=str))


def _modules(module: str | None) -> list[str]:
    return [module] if module else sorted(configuration.modules)


def _event(event: UUID) -> tuple[str, OutboxEvent]:
    for publisher in _modules(None):
        found = OutboxEvent.objects.using(publisher).filter(id=event).first()
        if found:
            return publisher, found
    raise CommandError(f"No outbox of this unit holds event {event}: manage.py events list")


def _row(publisher: str, delivery: Delivery) -> dict[str, Any]:
    return {
        "module": publisher,
        "event": delivery.event.id,
        "type": delivery.event.type,
        "key": delivery.key,
        "subscriber": delivery.subscriber,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "occurred_at": delivery.event.occurred_at,
        "last_error": delivery.last_error,
    }


def _held_up_by(publisher: str, delivery: Delivery) -> UUID | None:
    """The earlier event of the same key that this subscriber has not handled."""
    if delivery.state == Delivery.State.DONE:
        return None
    return (
        Delivery.objects.using(publisher)
        .filter(subscriber=delivery.subscriber, key=delivery.key, event__lt=delivery.event_id)
        .exclude(state=Delivery.State.DONE)
        .order_by("event")
        .values_list("event__id", flat=True)
        .first()
    )


def _in_inbox(subscriber: str, event: UUID) -> bool | None:
    """Whether the subscriber has handled it; None where its inbox is in another unit."""
    module = subscriber.split(".", 1)[0]
    if module not in configuration.modules:
        return None
    return InboxEntry.objects.using(module).filter(subscriber=subscriber, event_id=event).exists()


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not an event id: manage.py events list prints them") from None
