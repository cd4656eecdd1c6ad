"""Payments as the values of their contract; the card stays here."""

from typing import cast
from uuid import UUID

import contracts.payments as contract
from modules.payments.models import Payment


def payment_of(*, order_id: UUID, customer_id: UUID | None = None) -> contract.Payment | None:
    """The payment of an order; with `customer_id` only if it is this customer's."""
    payments = Payment.objects.filter(order_id=order_id)
    if customer_id is not None:
        payments = payments.filter(customer_id=customer_id)
    found = payments.first()
    return None if found is None else _as_value(found)


def payment_list(*, after: UUID | None, limit: int) -> contract.PaymentPage:
    """A page of payments in order of order_id."""
    payments = Payment.objects.all() if after is None else Payment.objects.filter(order_id__gt=after)
    page = list(payments.order_by("order_id")[:limit])
    return contract.PaymentPage(
        payments=tuple(_as_value(payment) for payment in page),
        after=page[-1].order_id if len(page) == limit else None,
    )


def _as_value(payment: Payment) -> contract.Payment:
    return contract.Payment(
        order_id=payment.order_id,
        state=cast(contract.State, str(payment.state)),
        amount_cents=payment.amount_cents or 0,
        currency=payment.currency,
        reference=payment.reference,
        reason=payment.reason,
    )
