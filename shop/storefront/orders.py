"""A customer's orders, and how one is going."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from contracts.orders import Order, Orders, UnknownOrder
from contracts.payments import Payments
from contracts.runtime import use
from shop.storefront.pages import AWAY, customer_id, page

OUTCOMES = {
    "pending": "We are reserving the goods and asking your bank.",
    "confirmed": "Thank you! It is paid and on its way to you.",
    "out_of_stock": "Somebody was quicker: there is not enough in stock. You have not been charged.",
    "declined": "Your bank declined the payment. You have not been charged.",
    "expired": "The payment took too long, so we let the order go. Should money still arrive, you get it back.",
}
"""What an order's state, or the reason of its cancellation, means to the customer."""

TIMELINE = {
    "placed": "You placed the order",
    "stock_reserved": "The goods are reserved for you",
    "confirmed": "Paid and confirmed",
    "cancelled": "Cancelled",
    "refunded": "Your money is on its way back to you",
}
"""What a moment of an order's timeline means to the customer; one that is not here shows by its own name."""

DETAILS = {
    "card_declined": "your bank does not honour this card",
    "unknown_card": "your bank does not know this card",
}
"""What a code of the payment company means to the customer; any other detail shows as it is, without underscores."""

PAYMENTS = {
    "expected": "waits until the goods are reserved",
    "charging": "your bank is being asked",
    "captured": "paid",
    "declined": "declined",
    "voided": "called off, nothing was charged",
    "refund_due": "your money is on its way back",
    "refunded": "paid back",
}
_PAYMENT_MOVES = ("expected", "charging", "refund_due")


@never_cache
@login_required
@require_safe
def orders(request: HttpRequest) -> HttpResponse:
    mine = use(Orders).orders_of(customer_id=customer_id(request))
    return page(request, "orders", {"orders": mine})


@never_cache
@login_required
@require_safe
def order(request: HttpRequest, order_id: UUID) -> HttpResponse:
    return page(request, "order", _followed(order_id, of=customer_id(request)))


@never_cache
@login_required
@require_safe
def order_status(request: HttpRequest, order_id: UUID) -> HttpResponse:
    """The part of the order's page that changes."""
    return page(request, "order_status", _followed(order_id, of=customer_id(request)))


def _followed(order_id: UUID, *, of: UUID) -> dict[str, Any]:
    """The order, as far as it is this customer's, and its payment, as far as payments answers."""
    try:
        found = use(Orders).order(order_id=order_id)
    except UnknownOrder:
        raise Http404 from None
    if found.customer_id != of:
        raise Http404
    try:
        payment = use(Payments).payment(order_id=order_id)
    except AWAY:
        return {**_told(found), "payment_away": True, "settled": found.state != "pending"}
    moving = payment is not None and payment.state in _PAYMENT_MOVES
    return {
        **_told(found),
        "payment": payment,
        "payment_told": PAYMENTS[payment.state] if payment else "",
        "settled": found.state != "pending" and not moving,
    }


def _told(found: Order) -> dict[str, Any]:
    timeline = [
        (moment.at, TIMELINE.get(moment.what, _words(moment.what)), _detail(moment.what, moment.detail))
        for moment in found.timeline
    ]
    return {"order": found, "outcome": OUTCOMES[found.reason or found.state], "timeline": timeline}


def _detail(what: str, detail: str) -> str:
    if what == "confirmed" and detail:
        return f"payment reference {detail}"
    return DETAILS.get(detail) or _words(detail)


def _words(code: str) -> str:
    """A code is one word; a sentence, or a sku with its underscores, is none."""
    return code.replace("_", " ") if code.isidentifier() else code
