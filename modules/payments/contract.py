"""Answers contracts/payments.py."""

from uuid import UUID

from contracts.payments import Payment, PaymentPage, Payments
from modules.payments import selectors

MOST_PAYMENTS = 1000


class PaymentsImplementation:
    def payment(self, *, order_id: UUID) -> Payment | None:
        return selectors.payment_of(order_id=order_id)

    def payments(self, *, after: UUID | None = None, limit: int = 500) -> PaymentPage:
        return selectors.payment_list(after=after, limit=min(max(limit, 1), MOST_PAYMENTS))


IMPLEMENTATION: Payments = PaymentsImplementation()
