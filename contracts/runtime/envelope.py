"""An event on its way: its envelope, and how it is sent to the unit where its subscriber lives."""

from datetime import datetime
from uuid import UUID

import msgspec
from celery import current_app

from contracts.runtime.configuration import configuration


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A CloudEvents 1.0 envelope in structured mode."""

    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    data: msgspec.Raw
    specversion: str = "1.0"
    datacontenttype: str = "application/json"
    traceparent: str = ""


def send_to(unit: str, *, module: str, delivery_id: int, subscriber: str, envelope: Envelope) -> None:
    """Send an event to the unit where its subscriber lives; the row is done when that unit says so."""
    current_app.send_task(
        "contracts.runtime.tasks.receive",
        kwargs={
            "publisher": module,
            "publisher_unit": configuration.unit,
            "delivery_id": delivery_id,
            "subscriber": subscriber,
            "envelope": msgspec.json.encode(envelope).decode(),
        },
        queue=unit,
        retry=False,
    )


def acknowledge_to(unit: str, *, publisher: str, delivery_id: int, subscriber: str, error: str) -> None:
    """Tell the unit where the publisher lives that a delivery was handled, or what went wrong."""
    current_app.send_task(
        "contracts.runtime.tasks.acknowledge",
        kwargs={"publisher": publisher, "delivery_id": delivery_id, "subscriber": subscriber, "error": error},
        queue=unit,
        retry=False,
    )


def resume_at(unit: str, *, publisher: str, delivery_id: int) -> None:
    """Tell the unit where the publisher lives now that this delivery was left undone."""
    current_app.send_task(
        "contracts.runtime.tasks.resume",
        kwargs={"publisher": publisher, "delivery_id": delivery_id},
        queue=unit,
        retry=False,
    )
