from typing import ClassVar, Literal, Protocol
from uuid import UUID

import msgspec

State = Literal["expected", "charging", "captured", "declined", "voided", "refund_due", "refunded"]


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """The payment of one order.

    expected: waits for stock. charging: the provider is asked. voided: the order was cancelled before a capture.
    refund_due: captured after or before a cancellation, the money is on its way back.
    """

    order_id: UUID
    state: State
    amount_cents: int
    currency: str
    reference: str
    reason: str


class PaymentPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of payments in order of order_id; `after` asks for the next one, None at the end."""

    payments: tuple[Payment, ...]
    after: UUID | None


class PaymentCaptured(msgspec.Struct, frozen=True, kw_only=True, tag="payments.payment_captured.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    amount_cents: int
    currency: str
    reference: str


class PaymentDeclined(msgspec.Struct, frozen=True, kw_only=True, tag="payments.payment_declined.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    reason: str


class PaymentRefunded(msgspec.Struct, frozen=True, kw_only=True, tag="payments.payment_refunded.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    amount_cents: int
    currency: str


class Payments(Protocol):
    def payment(self, *, order_id: UUID) -> Payment | None:
        """The payment of this order, None where none was ever asked for."""
        ...

    def payments(self, *, after: UUID | None = None, limit: int = 500) -> PaymentPage:
        """Every payment, for the audit."""
        ...


CONTRACT = Payments
READS = ("payment", "payments")
ERRORS: tuple[type[Exception], ...] = ()
PUBLISHES = (PaymentCaptured, PaymentDeclined, PaymentRefunded)
HEARS = {
    "payments.expect": "orders.order_placed.v1",
    "payments.charge": "inventory.stock_reserved.v1",
    "payments.void": "orders.order_cancelled.v1",
}
