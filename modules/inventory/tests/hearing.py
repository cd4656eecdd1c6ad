"""Events of orders, as they reach this module's handlers."""

from uuid import UUID

from uuid_utils.compat import uuid7

from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced, PlacedLine
from contracts.runtime.testing import tell


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
    return tell("inventory.reserve_stock", event, event_id=event_id)


def confirmed(order_id: UUID) -> bool:
    """The order is confirmed."""
    return tell("inventory.sell_stock", OrderConfirmed(order_id=order_id))


def cancelled(order_id: UUID) -> bool:
    """The order is cancelled."""
    return tell("inventory.release_stock", OrderCancelled(order_id=order_id, reason="declined"))
