"""Orders as the values of their contract."""

from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID

import msgspec

import contracts.orders as contract
from modules.orders.models import Order, OrderLine, TimelineEntry


def order_get(*, order_id: UUID, customer_id: UUID | None = None) -> contract.Order | None:
    """An order with its timeline; with `customer_id` only if it is this customer's."""
    orders = Order.objects.filter(id=order_id)
    if customer_id is not None:
        orders = orders.filter(customer_id=customer_id)
    found = orders.first()
    return None if found is None else as_value(found, found.lines.all(), found.timeline.all())


def order_list(*, customer_id: UUID, before: UUID | None = None, limit: int) -> tuple[contract.Order, ...]:
    """This customer's orders, the newest first; `before` continues below an order."""
    orders = Order.objects.filter(customer_id=customer_id)
    if before is not None:
        orders = orders.filter(id__lt=before)
    page = orders.order_by("-id").prefetch_related("lines", "timeline")[:limit]
    return tuple(as_value(order, order.lines.all(), order.timeline.all()) for order in page)


def order_facts(*, after: UUID | None, limit: int) -> contract.OrderFacts:
    """A page of facts in order of id."""
    orders = Order.objects.all() if after is None else Order.objects.filter(id__gt=after)
    page = list(orders.order_by("id").prefetch_related("lines")[:limit])
    return contract.OrderFacts(
        facts=tuple(_as_fact(order) for order in page), after=page[-1].id if len(page) == limit else None
    )


def order_fact(*, order_id: UUID) -> contract.OrderFact | None:
    """One order for the audit."""
    found = Order.objects.filter(id=order_id).prefetch_related("lines").first()
    return None if found is None else _as_fact(found)


def as_value(order: Order, lines: Iterable[OrderLine], timeline: Iterable[TimelineEntry]) -> contract.Order:
    """An order as other modules and customers see it."""
    return contract.Order(
        id=order.id,
        customer_id=order.customer_id,
        state=cast(contract.State, str(order.state)),
        reason=cast(contract.Reason, str(order.reason)) if order.reason else None,
        lines=tuple(
            contract.OrderLine(
                sku=line.sku, name=line.name, quantity=line.quantity, unit_price_cents=line.unit_price_cents
            )
            for line in lines
        ),
        total_cents=order.total_cents,
        currency=order.currency,
        deliver_to=order.deliver_to,
        placed_at=order.placed_at,
        timeline=tuple(contract.Moment(at=entry.at, what=entry.what, detail=entry.detail) for entry in timeline),
    )


def as_answer(order: contract.Order) -> dict[str, Any]:
    """An order as JSON of the API."""
    return cast(dict[str, Any], msgspec.to_builtins(order))


def _as_fact(order: Order) -> contract.OrderFact:
    return contract.OrderFact(
        id=order.id,
        customer_id=order.customer_id,
        idempotency_key=order.idempotency_key,
        state=cast(contract.State, str(order.state)),
        total_cents=order.total_cents,
        quantities={line.sku: line.quantity for line in order.lines.all()},
        placed_at=order.placed_at,
    )
