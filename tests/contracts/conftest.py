import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from msgspec import Raw
from uuid_utils.compat import uuid7

from contracts.orders import OrderCancelled, OrderPlaced, PlacedLine
from contracts.runtime import handlers, publish, transaction
from contracts.runtime.envelope import Envelope
from contracts.runtime.models import OutboxEvent


class Ears:
    """Handlers that note what they hear, in place of the modules' own."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.fails: set[str] = set()
        for name, handler in list(handlers._handlers.items()):
            monkeypatch.setitem(handlers._handlers, name, handlers.Handler(name, handler.event, self._ear(name)))

    def _ear(self, name: str) -> Callable[[Any], None]:
        def hear(event: Any) -> None:
            if name in self.fails:
                raise RuntimeError("out of paper")
            self.heard.append((name, event))

        return hear

    def of(self, subscriber: str) -> list[Any]:
        return [event for name, event in self.heard if name == subscriber]


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Ears:
    return Ears(monkeypatch)


def placed(order_id: UUID | None = None, card: str = "tok_approve") -> OrderPlaced:
    return OrderPlaced(
        order_id=order_id or uuid7(),
        customer_id=uuid7(),
        lines=(PlacedLine(sku="A-1", quantity=2),),
        total_cents=1998,
        currency="EUR",
        card=card,
    )


def publish_placed(order_id: UUID | None = None, card: str = "tok_approve") -> OrderPlaced:
    event = placed(order_id, card)
    with transaction("orders"):
        publish(event)
    return event


def envelope_of(event: OutboxEvent) -> Envelope:
    return Envelope(
        id=event.id,
        source="/shop/orders",
        type=event.type,
        subject=event.key,
        time=event.occurred_at,
        data=Raw(json.dumps(event.data)),
    )


def publish_cancelled(order_id: UUID) -> None:
    with transaction("orders"):
        publish(OrderCancelled(order_id=order_id, reason="expired"))
