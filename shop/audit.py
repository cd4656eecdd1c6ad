"""The invariants of the shop, checked at any time, also while customers buy.

    stock_adds_up          received - on_hand of each product is what orders hold of it
    stock_is_of_orders     confirmed orders hold exactly their lines, open ones those or nothing yet, cancelled none
    captured_is_confirmed  what is captured is what confirmed orders cost, order by order; cancelled ones paid nothing
    one_order_per_key      no customer has two orders for one idempotency key
    nothing_stuck          no order is pending past its time, no event of a module that lives in this unit is given up

Modules are asked by contract calls, so they may live anywhere, and one after another while orders go on. So a
difference is first taken for work in flight: it is asked again until it is gone or the wait is over.

Events that were given up stand in the outbox of their publisher, which no contract tells. They are read where the
module lives; a copy that a migration left here would be stale. The report says whose were read, and whose were not.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils import timezone

from contracts.inventory import Holding, Inventory
from contracts.orders import OrderFact, Orders
from contracts.payments import Payment, Payments
from contracts.runtime import use
from contracts.runtime.configuration import configuration
from contracts.runtime.models import Delivery

INVARIANTS = ("stock_adds_up", "stock_is_of_orders", "captured_is_confirmed", "one_order_per_key", "nothing_stuck")
EXPIRY_GRACE_S = 30.0
"""An order may be pending for so long past its expiry, until beat and worker come round."""
ASK_AGAIN_AFTER_S = 0.25
PAGE = 500

HOLDING_OF = {
    "pending": ("nothing", "reserved"),
    "confirmed": ("reserved", "sold"),
    "cancelled": ("nothing", "released", "rejected"),
    "unknown": ("nothing",),
}
PAYMENT_OF = {
    "pending": ("nothing", "expected", "charging"),
    "confirmed": ("captured",),
    "cancelled": ("nothing", "voided", "declined", "refunded"),
    "unknown": ("nothing",),
}
"""States of a holding and of a payment that agree with the state of an order; all others are on their way."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not hold: of which order, product or event, and both values."""

    invariant: str
    of: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.invariant}: {self.of}: expected {self.expected}; found {self.found}"


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit saw. `events_of` are the modules whose outboxes were read; `events_elsewhere` are the others, each
    with the unit where an audit would read it."""

    invariants: dict[str, bool]
    differences: tuple[Difference, ...]
    orders: int
    waited_s: float
    events_of: tuple[str, ...] = ()
    events_elsewhere: dict[str, str] = {}

    @property
    def passed(self) -> bool:
        return all(self.invariants.values())


def audit(*, wait_s: float = 30.0) -> AuditReport:
    """Check every invariant; what differs is asked again for `wait_s` at most. Raises Unavailable."""
    began = time.monotonic()
    facts = {fact.id: fact for fact in _facts()}
    doubled = list(_one_order_per_key(facts.values()))
    suspects = _suspects(facts)
    while True:
        here = [module for module in settings.MODULES if configuration.at_home(module)]
        of_orders = {order_id: _ask_about(order_id) for order_id in suspects}
        suspects = [order_id for order_id, found in of_orders.items() if found]
        differences = [
            *_stock_adds_up(),
            *(difference for order_id in suspects for difference in of_orders[order_id]),
            *doubled,
            *_dead_events(here),
        ]
        waited_s = time.monotonic() - began
        if not differences or waited_s >= wait_s:
            break
        time.sleep(min(ASK_AGAIN_AFTER_S, wait_s - waited_s))
    broken = {difference.invariant for difference in differences}
    return AuditReport(
        invariants={name: name not in broken for name in INVARIANTS},
        differences=tuple(differences),
        orders=len(facts),
        waited_s=round(waited_s, 3),
        events_of=tuple(here),
        events_elsewhere={module: _unit_of(module) for module in settings.ALL_MODULES if module not in here},
    )


def _suspects(facts: dict[UUID, OrderFact]) -> list[UUID]:
    """Orders of which one module does not say what the others say."""
    holdings = {holding.order_id: holding for holding in _holdings()}
    payments = {payment.order_id: payment for payment in _payments()}
    return [
        order_id
        for order_id in sorted(facts.keys() | holdings.keys() | payments.keys())
        if any(_compare(order_id, facts.get(order_id), holdings.get(order_id), payments.get(order_id)))
    ]


def _ask_about(order_id: UUID) -> list[Difference]:
    return list(
        _compare(
            order_id,
            use(Orders).fact(order_id=order_id),
            use(Inventory).holding(order_id=order_id),
            use(Payments).payment(order_id=order_id),
        )
    )


def _compare(
    order_id: UUID, fact: OrderFact | None, holding: Holding | None, payment: Payment | None
) -> Iterator[Difference]:
    state = fact.state if fact else "unknown"
    quantities, total_cents = (fact.quantities, fact.total_cents) if fact else ({}, 0)

    stock = holding.state if holding else "nothing"
    holds = stock in ("reserved", "sold")
    held = {line.sku: line.quantity for line in holding.lines} if holding and holds else {}
    if stock not in HOLDING_OF[state] or (holds and held != quantities):
        yield Difference(
            invariant="stock_is_of_orders",
            of=f"order {order_id}",
            expected=f"{state}, {_stock_words(HOLDING_OF[state], quantities)}",
            found=_stock_words((stock,), held),
        )

    paid = payment.state if payment else "nothing"
    cents = payment.amount_cents if payment else 0
    if paid not in PAYMENT_OF[state] or (paid not in ("nothing", "expected", "voided") and cents != total_cents):
        yield Difference(
            invariant="captured_is_confirmed",
            of=f"order {order_id}",
            expected=f"{state}, {' or '.join(PAYMENT_OF[state])} {total_cents} cents",
            found=f"{paid} {cents} cents",
        )

    if fact is not None and state == "pending":
        until = fact.placed_at + timedelta(seconds=settings.ORDER_EXPIRES_S + EXPIRY_GRACE_S)
        if timezone.now() > until:
            yield Difference(
                invariant="nothing_stuck",
                of=f"order {order_id}",
                expected=f"confirmed or cancelled by {until:%Y-%m-%d %H:%M:%S}",
                found="pending",
            )


def _stock_adds_up() -> Iterator[Difference]:
    for difference in use(Inventory).stock_differences():
        yield Difference(
            invariant="stock_adds_up",
            of=f"product {difference.sku}",
            expected=f"received {difference.received} - on hand {difference.on_hand} "
            f"= {difference.received - difference.on_hand} held",
            found=f"{difference.held} held",
        )


def _one_order_per_key(facts: Iterable[OrderFact]) -> Iterator[Difference]:
    placed: dict[tuple[UUID, str], list[UUID]] = defaultdict(list)
    for fact in facts:
        placed[fact.customer_id, fact.idempotency_key].append(fact.id)
    for (customer_id, key), order_ids in placed.items():
        if len(order_ids) > 1:
            yield Difference(
                invariant="one_order_per_key",
                of=f"key {key!r} of customer {customer_id}",
                expected=f"order {order_ids[0]}",
                found=", ".join(f"order {order_id}" for order_id in order_ids),
            )


def _dead_events(modules: Iterable[str]) -> Iterator[Difference]:
    for module in modules:
        dead = Delivery.objects.using(module).filter(state=Delivery.State.DEAD).order_by("id")
        for delivery in dead[:PAGE]:
            yield Difference(
                invariant="nothing_stuck",
                of=f"{module} delivery {delivery.id} of {delivery.key}",
                expected=f"handled by {delivery.subscriber}",
                found=f"given up after {delivery.attempts} attempts: {delivery.last_error[:200]}",
            )


def _unit_of(module: str) -> str:
    remote = configuration.resolve(module)
    return remote.unit if remote else "another unit"


def _facts() -> Iterator[OrderFact]:
    after: UUID | None = None
    while True:
        page = use(Orders).facts(after=after, limit=PAGE)
        yield from page.facts
        if (after := page.after) is None:
            return


def _holdings() -> Iterator[Holding]:
    after: UUID | None = None
    while True:
        page = use(Inventory).holdings(after=after, limit=PAGE)
        yield from page.holdings
        if (after := page.after) is None:
            return


def _payments() -> Iterator[Payment]:
    after: UUID | None = None
    while True:
        page = use(Payments).payments(after=after, limit=PAGE)
        yield from page.payments
        if (after := page.after) is None:
            return


def _stock_words(states: tuple[str, ...], quantities: dict[str, int]) -> str:
    lines = ", ".join(f"{quantity} × {sku}" for sku, quantity in sorted(quantities.items()))
    return f"{' or '.join(states)} {lines}".rstrip()
