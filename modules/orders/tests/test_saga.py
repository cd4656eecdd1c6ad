"""What events of the others and the clock make of an order."""

import threading
import time
from datetime import timedelta
from itertools import permutations
from uuid import UUID

import pytest
from django.db import connections
from django.utils import timezone
from pytest_django import Settings
from uuid_utils.compat import uuid7

from contracts.inventory import StockRejected, StockReserved
from contracts.orders import UnknownOrder
from contracts.payments import PaymentCaptured, PaymentDeclined, PaymentRefunded
from contracts.runtime import transaction
from contracts.runtime.testing import tell
from modules.orders.contract import IMPLEMENTATION as orders
from modules.orders.models import Order, OrderLine, TimelineEntry
from modules.orders.service import order_expire_due
from modules.orders.tests.conftest import published

pytestmark = pytest.mark.django_db(databases="__all__")

CONFIRMED, CANCELLED = "orders.order_confirmed.v1", "orders.order_cancelled.v1"


def order(*, age_s: float = 0) -> UUID:
    """A pending order."""
    row = Order.objects.create(
        customer_id=uuid7(),
        idempotency_key=str(uuid7()),
        total_cents=999,
        currency="EUR",
        deliver_to="1 Mill Lane",
        placed_at=timezone.now() - timedelta(seconds=age_s),
    )
    OrderLine.objects.create(order=row, sku="A-1", name="Product A-1", quantity=1, unit_price_cents=999)
    return row.id


def captured(order_id: UUID) -> PaymentCaptured:
    return PaymentCaptured(order_id=order_id, amount_cents=999, currency="EUR", reference="r-1")


def steps(order_id: UUID) -> list[str]:
    return list(TimelineEntry.objects.filter(order_id=order_id).values_list("what", flat=True))


def test_a_capture_confirms_and_tells_so() -> None:
    tell("orders.confirm", captured(order_id := order()))
    assert orders.order(order_id=order_id).state == "confirmed"
    assert published(order_id) == [CONFIRMED]
    assert steps(order_id) == ["confirmed"]


def test_a_capture_told_twice_confirms_once() -> None:
    order_id, event_id = order(), uuid7()
    assert tell("orders.confirm", captured(order_id), event_id=event_id) is True
    assert tell("orders.confirm", captured(order_id), event_id=event_id) is False
    assert tell("orders.confirm", captured(order_id)) is True
    assert published(order_id) == [CONFIRMED]
    assert steps(order_id) == ["confirmed"]


def test_stock_that_is_gone_cancels_and_says_what_is_left() -> None:
    order_id = order()
    tell("orders.cancel_out_of_stock", StockRejected(order_id=order_id, sku="A-1", available=0))
    found = orders.order(order_id=order_id)
    assert (found.state, found.reason) == ("cancelled", "out_of_stock")
    assert [(moment.what, moment.detail) for moment in found.timeline] == [("cancelled", "A-1: 0 left")]
    assert published(order_id) == [CANCELLED]


def test_a_declined_card_cancels() -> None:
    order_id = order()
    tell("orders.cancel_declined", PaymentDeclined(order_id=order_id, reason="card_declined"))
    found = orders.order(order_id=order_id)
    assert (found.state, found.reason) == ("cancelled", "declined")
    assert published(order_id) == [CANCELLED]


@pytest.mark.parametrize("turn", range(6))
def test_of_a_capture_a_rejection_and_a_decline_the_first_decides(turn: int) -> None:
    order_id = order()
    events = (
        ("orders.confirm", captured(order_id)),
        ("orders.cancel_out_of_stock", StockRejected(order_id=order_id, sku="A-1", available=0)),
        ("orders.cancel_declined", PaymentDeclined(order_id=order_id, reason="card_declined")),
    )
    told = list(permutations(events))[turn]
    for subscriber, event in told:
        tell(subscriber, event)
    expected = CONFIRMED if told[0][0] == "orders.confirm" else CANCELLED
    assert published(order_id) == [expected]
    assert len(steps(order_id)) == 1


def test_the_timeline_notes_stock_and_refund_once_whatever_the_state() -> None:
    order_id = order()
    for _ in range(2):
        tell("orders.note_refunded", PaymentRefunded(order_id=order_id, amount_cents=999, currency="EUR"))
        tell("orders.note_stock_reserved", StockReserved(order_id=order_id))
    assert steps(order_id) == ["refunded", "stock_reserved"]
    assert orders.order(order_id=order_id).state == "pending"


@pytest.mark.parametrize(
    ("subscriber", "event"),
    [
        ("orders.confirm", captured(uuid7())),
        ("orders.note_stock_reserved", StockReserved(order_id=uuid7())),
        ("orders.cancel_declined", PaymentDeclined(order_id=uuid7(), reason="")),
    ],
)
def test_an_event_of_an_order_that_is_not_there_fails_so_that_somebody_sees_it(
    subscriber: str, event: PaymentCaptured
) -> None:
    with pytest.raises(UnknownOrder):
        tell(subscriber, event)


def test_an_order_that_hangs_expires_and_one_in_time_does_not(settings: Settings) -> None:
    settings.ORDER_EXPIRES_S = 60
    old, young = order(age_s=61), order(age_s=30)
    assert order_expire_due() == 1
    assert (orders.order(order_id=old).state, orders.order(order_id=old).reason) == ("cancelled", "expired")
    assert orders.order(order_id=young).state == "pending"
    assert published(old) == [CANCELLED]
    assert order_expire_due() == 0


def test_a_confirmed_order_never_expires() -> None:
    tell("orders.confirm", captured(order_id := order(age_s=86400)))
    assert order_expire_due() == 0
    assert orders.order(order_id=order_id).state == "confirmed"


def test_a_capture_after_the_expiry_does_not_confirm() -> None:
    order_id = order(age_s=86400)
    order_expire_due()
    tell("orders.confirm", captured(order_id))
    assert orders.order(order_id=order_id).state == "cancelled"
    assert published(order_id) == [CANCELLED]


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_an_order_that_is_being_confirmed_is_passed_over_by_the_expiry_without_waiting() -> None:
    order_id = order(age_s=86400)
    locked, let_go = threading.Event(), threading.Event()

    def confirm_slowly() -> None:
        with transaction("orders"):
            Order.objects.filter(id=order_id, state="pending").update(state="confirmed")
            locked.set()
            let_go.wait(10)
        connections.close_all()

    thread = threading.Thread(target=confirm_slowly)
    thread.start()
    locked.wait(10)
    began = time.monotonic()
    assert order_expire_due() == 0
    assert time.monotonic() - began < 5
    let_go.set()
    thread.join()
    assert order_expire_due() == 0
    assert Order.objects.get().state == "confirmed"


def test_facts_come_page_by_page_in_order_of_id() -> None:
    ids = [order() for _ in range(5)]
    first = orders.facts(limit=3)
    assert [fact.id for fact in first.facts] == ids[:3]
    second = orders.facts(after=first.after, limit=3)
    assert [fact.id for fact in second.facts] == ids[3:]
    assert second.after is None
    assert orders.fact(order_id=ids[0]) == first.facts[0]
    assert first.facts[0].quantities == {"A-1": 1}
    assert orders.fact(order_id=uuid7()) is None


def test_an_unknown_order_is_an_error_of_the_contract() -> None:
    with pytest.raises(UnknownOrder):
        orders.order(order_id=uuid7())
