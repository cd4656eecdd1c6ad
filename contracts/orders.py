from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, Protocol
from uuid import UUID

import msgspec

State = Literal["pending", "confirmed", "cancelled"]
Reason = Literal["out_of_stock", "declined", "expired"]


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    name: str
    quantity: int
    unit_price_cents: int


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an order's timeline."""

    at: datetime
    what: str
    detail: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    customer_id: UUID
    state: State
    reason: Reason | None
    lines: tuple[OrderLine, ...]
    total_cents: int
    currency: str
    deliver_to: str
    placed_at: datetime
    timeline: tuple[Moment, ...]


class OrderFact(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit compares: an order without its words."""

    id: UUID
    customer_id: UUID
    idempotency_key: str
    state: State
    total_cents: int
    quantities: dict[str, int]
    placed_at: datetime


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of facts in order of id; `after` asks for the next one, None at the end."""

    facts: tuple[OrderFact, ...]
    after: UUID | None


@dataclass
class UnknownOrder(Exception):
    """No order has this id."""

    order_id: UUID


class PlacedLine(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    quantity: int


class OrderPlaced(msgspec.Struct, frozen=True, kw_only=True, tag="orders.order_placed.v1"):
    """`card` is the provider's token for a card, never a card number."""

    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    customer_id: UUID
    lines: tuple[PlacedLine, ...]
    total_cents: int
    currency: str
    card: str


class OrderConfirmed(msgspec.Struct, frozen=True, kw_only=True, tag="orders.order_confirmed.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID


class OrderCancelled(msgspec.Struct, frozen=True, kw_only=True, tag="orders.order_cancelled.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    reason: Reason


class Orders(Protocol):
    def order(self, *, order_id: UUID) -> Order:
        """Raises UnknownOrder."""
        ...

    def orders_of(self, *, customer_id: UUID, limit: int = 50) -> tuple[Order, ...]:
        """This customer's orders, the newest first."""
        ...

    def facts(self, *, after: UUID | None = None, limit: int = 500) -> OrderFacts:
        """Every order, for the audit."""
        ...

    def fact(self, *, order_id: UUID) -> OrderFact | None:
        """One order for the audit, None where there is none."""
        ...


CONTRACT = Orders
READS = ("order", "orders_of", "facts", "fact")
ERRORS = (UnknownOrder,)
PUBLISHES = (OrderPlaced, OrderConfirmed, OrderCancelled)
HEARS = {
    "orders.note_stock_reserved": "inventory.stock_reserved.v1",
    "orders.cancel_out_of_stock": "inventory.stock_rejected.v1",
    "orders.confirm": "payments.payment_captured.v1",
    "orders.cancel_declined": "payments.payment_declined.v1",
    "orders.note_refunded": "payments.payment_refunded.v1",
}
