"""Events of orders, as they reach this module's handlers."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced, PlacedLine
from contracts.runtime.definitions import event_type
from contracts.runtime.dispatch import handle
from contracts.runtime.envelope import Envelope


def placed(order_id: UUID, *lines: tuple[str, int], event_id: UUID | None = None) -> bool:
    """The order is placed."""
    event = OrderPlaced(
        order_id=order_id,
        customer_id=uuid7(),
        lines=tuple(PlacedLine(sku=sku, quantity=quantity) for sku, quantity in lines),
        total_cents=1,
        currency="EUR",
        card="tok_approve",
    )
    return handle("inventory.reserve_stock", _envelope(event, event_id))


def confirmed(order_id: UUID) -> bool:
    """The order is confirmed."""
    return handle("inventory.sell_stock", _envelope(OrderConfirmed(order_id=order_id)))


def cancelled(order_id: UUID) -> bool:
    """The order is cancelled."""
    return handle("inventory.release_stock", _envelope(OrderCancelled(order_id=order_id, reason="declined")))


def _envelope(event: OrderPlaced | OrderConfirmed | OrderCancelled, event_id: UUID | None = None) -> Envelope:
    return Envelope(
        id=event_id or uuid7(),
        source="/shop/orders",
        type=event_type(event),
        subject=str(event.order_id),
        time=datetime.now(UTC),
        data=msgspec.Raw(msgspec.json.encode(event)),
    )
