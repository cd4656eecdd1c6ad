"""What happens to an order: placed, then confirmed or cancelled, once."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.db import IntegrityError, connections
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

import contracts.orders as contract
from contracts.inventory import Inventory, Line
from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced, PlacedLine, UnknownOrder
from contracts.runtime import KeyReused, publish, transaction, transaction_required, use
from contracts.runtime.idempotency import Answer, Repeated, answer_to, record
from contracts.users import Users
from modules.orders.models import Order, OrderLine, TimelineEntry
from modules.orders.selectors import as_answer, as_value

log = structlog.get_logger(__name__)

State, Reason = Order.State, Order.Reason

TRANSITIONS = {
    State.PENDING: frozenset({State.CONFIRMED, State.CANCELLED}),
    State.CONFIRMED: frozenset[Order.State](),
    State.CANCELLED: frozenset[Order.State](),
}
"""Every change of state that there is. Confirmed and cancelled are final."""

EXPIRED_AT_ONCE = 200
"""Orders that one transaction expires; the rest waits for the next run, seconds later."""


def order_place(*, customer_id: UUID, key: str, lines: Sequence[Line], card: str, deliver_to: str = "") -> Answer:
    """Place an order once for this key, and answer as the API does: 201 and the order.

    Raises KeyReused when the key came before with another request; UnknownCustomer and UnknownProduct;
    Unavailable while users or inventory do not answer. Then nothing was placed.
    """
    request = {"lines": lines, "card": card, "deliver_to": deliver_to}
    scope = f"order_place:{customer_id}"
    if given := answer_to("orders", scope=scope, key=key, request=request):
        return given
    customer = use(Users).customer(customer_id=customer_id)
    quote = use(Inventory).quote(lines=tuple(lines))

    order = Order(
        id=uuid7(),
        customer_id=customer_id,
        idempotency_key=key,
        total_cents=quote.total_cents,
        currency=quote.currency,
        deliver_to=deliver_to or customer.address,
    )
    order_lines = [
        OrderLine(
            order=order,
            sku=line.sku,
            name=line.name,
            quantity=line.quantity,
            unit_price_cents=line.unit_price_cents,
        )
        for line in quote.lines
    ]
    placed = TimelineEntry(order=order, at=order.placed_at, what="placed")
    answer = Answer(201, as_answer(as_value(order, order_lines, [placed])))
    try:
        with transaction("orders"):
            record("orders", scope=scope, key=key, request=request, answer=answer)
            order.save(force_insert=True)
            OrderLine.objects.bulk_create(order_lines)
            placed.save(force_insert=True)
            publish(
                OrderPlaced(
                    order_id=order.id,
                    customer_id=customer_id,
                    lines=tuple(PlacedLine(sku=line.sku, quantity=line.quantity) for line in quote.lines),
                    total_cents=order.total_cents,
                    currency=order.currency,
                    card=card,
                )
            )
    except Repeated:
        given = answer_to("orders", scope=scope, key=key, request=request)
        if given is None:
            raise
        return given
    except IntegrityError as error:
        # Answers are purged some day, orders are not: a key of such an order is used up.
        placed_before = Order.objects.filter(customer_id=customer_id, idempotency_key=key).first()
        if placed_before is None:
            raise
        raise KeyReused(
            f"the idempotency key {key!r} placed order {placed_before.id} long ago; take a new key for a new order"
        ) from error
    return answer


def order_confirm(*, order_id: UUID, reference: str) -> None:
    """The money is there: confirm, unless the order was cancelled meanwhile; then payments gives it back."""
    if _move(order_id=order_id, to=State.CONFIRMED, detail=reference):
        publish(OrderConfirmed(order_id=order_id))


def order_cancel(*, order_id: UUID, reason: contract.Reason, detail: str = "") -> None:
    """Cancel a pending order. A confirmed or cancelled one stays as it is."""
    if _move(order_id=order_id, to=State.CANCELLED, reason=Reason(reason), detail=detail or reason):
        publish(OrderCancelled(order_id=order_id, reason=reason))


def order_note(*, order_id: UUID, what: str, detail: str = "") -> None:
    """Add a step to the order's timeline, once. Raises UnknownOrder."""
    transaction_required("orders")
    if not _note(order_id=order_id, what=what, detail=detail) and not Order.objects.filter(id=order_id).exists():
        raise UnknownOrder(order_id)


def order_expire_due() -> int:
    """Cancel orders that are pending for longer than ORDER_EXPIRES_S. Returns how many.

    An order that a handler holds just now is passed over, so a capture that comes in time wins.
    """
    with transaction("orders"):
        due = (
            Order.objects.select_for_update(skip_locked=True)
            .filter(state=State.PENDING, placed_at__lt=Now() - timedelta(seconds=settings.ORDER_EXPIRES_S))
            .order_by("placed_at")
            .values_list("id", flat=True)[:EXPIRED_AT_ONCE]
        )
        expired = list(due)
        for order_id in expired:
            order_cancel(order_id=order_id, reason="expired", detail=f"after {settings.ORDER_EXPIRES_S:g} s")
    if expired:
        log.info("orders expired", orders=len(expired))
    return len(expired)


def _move(*, order_id: UUID, to: Order.State, reason: str = "", detail: str = "") -> bool:
    """Change the state where the transition is allowed, with the row locked. False where it is not."""
    transaction_required("orders")
    sources = [state for state, targets in TRANSITIONS.items() if to in targets]
    if Order.objects.filter(id=order_id, state__in=sources).update(state=to, reason=reason):
        _note(order_id=order_id, what=to.value, detail=detail)
        return True
    if not Order.objects.filter(id=order_id).exists():
        raise UnknownOrder(order_id)
    return False


def _note(*, order_id: UUID, what: str, detail: str) -> bool:
    """Add a step, once. False where it is there, or the order is not.

    SQL, because the order is looked for in the same statement: its foreign key is asked at the commit only.
    """
    with connections["orders"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_timelineentry (order_id, at, what, detail) "
            "SELECT id, %s, %s, %s FROM orders_order WHERE id = %s ON CONFLICT DO NOTHING",
            [timezone.now(), what, detail[:200], order_id],
        )
        return bool(cursor.rowcount)
