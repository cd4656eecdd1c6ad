"""Stock follows the events of orders, whatever their order and however often they come."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connections
from django.db.transaction import TransactionManagementError
from uuid_utils.compat import uuid7

from contracts.inventory import Holding, Inventory, Line, StockDifference, StockFact
from contracts.runtime import transaction, use
from contracts.runtime.models import InboxEntry, OutboxEvent
from modules.inventory import service
from modules.inventory.models import Product, Reservation, ReservationLine, Stock
from modules.inventory.tests.hearing import cancelled, confirmed, placed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]


def test_an_order_holds_what_it_asks_for() -> None:
    order = uuid7()
    placed(order, ("POT-1", 2), ("CUP-1", 3))
    assert _on_hand() == {"CUP-1": 7, "POT-1": 3, "LAMP-1": 1}
    assert _holding(order) == ("reserved", {"CUP-1": 3, "POT-1": 2})
    assert _published() == [("inventory.stock_reserved.v1", {"order_id": str(order)})]


def test_an_order_that_asks_for_more_than_there_is_holds_nothing() -> None:
    order = uuid7()
    placed(order, ("CUP-1", 1), ("LAMP-1", 2))
    assert _on_hand() == {"CUP-1": 10, "POT-1": 5, "LAMP-1": 1}
    assert _holding(order) == ("rejected", {})
    assert _published() == [
        ("inventory.stock_rejected.v1", {"order_id": str(order), "sku": "LAMP-1", "available": 1}),
    ]


@pytest.mark.parametrize(("sku", "quantity"), [("NONE", 1), ("CUP-1", 0), ("CUP-1", -1), ("CUP-1", 2**40), ("’/", 1)])
def test_a_line_that_cannot_be_served_rejects_the_order(sku: str, quantity: int) -> None:
    order = uuid7()
    placed(order, ("POT-1", 1), (sku, quantity))
    assert _holding(order) == ("rejected", {})
    assert _on_hand() == {"CUP-1": 10, "POT-1": 5, "LAMP-1": 1}


def test_lines_of_one_product_count_together() -> None:
    first, second = uuid7(), uuid7()
    placed(first, ("POT-1", 3), ("POT-1", 2))
    placed(second, ("CUP-1", 6), ("CUP-1", 6))
    assert _holding(first) == ("reserved", {"POT-1": 5})
    assert _holding(second) == ("rejected", {})


def test_the_same_event_again_changes_nothing() -> None:
    order, event = uuid7(), uuid7()
    assert placed(order, ("CUP-1", 3), event_id=event)
    assert not placed(order, ("CUP-1", 3), event_id=event)
    assert (_on_hand()["CUP-1"], len(_published())) == (7, 1)


def test_another_event_for_a_known_order_changes_nothing() -> None:
    order = uuid7()
    placed(order, ("CUP-1", 3))
    placed(order, ("CUP-1", 5))
    assert (_on_hand()["CUP-1"], len(_published())) == (7, 1)


def test_a_confirmed_order_has_bought_what_it_held() -> None:
    order = uuid7()
    placed(order, ("CUP-1", 3))
    confirmed(order)
    confirmed(order)
    assert _holding(order) == ("sold", {"CUP-1": 3})
    assert _on_hand()["CUP-1"] == 7


def test_a_cancelled_order_gives_back_what_it_held_once() -> None:
    order = uuid7()
    placed(order, ("CUP-1", 3), ("POT-1", 5))
    cancelled(order)
    cancelled(order)
    assert _on_hand() == {"CUP-1": 10, "POT-1": 5, "LAMP-1": 1}
    assert _holding(order) == ("released", {})
    assert [name for name, _ in _published()] == ["inventory.stock_reserved.v1", "inventory.stock_released.v1"]


def test_a_cancellation_that_overtakes_its_order_keeps_it_from_holding_anything() -> None:
    order = uuid7()
    cancelled(order)
    placed(order, ("CUP-1", 3))
    assert _on_hand()["CUP-1"] == 10
    assert _holding(order) == ("released", {})
    assert _published() == []


def test_cancelling_a_rejected_order_releases_nothing() -> None:
    order = uuid7()
    placed(order, ("LAMP-1", 2))
    cancelled(order)
    assert _holding(order) == ("rejected", {})
    assert [name for name, _ in _published()] == ["inventory.stock_rejected.v1"]


def test_a_confirmation_without_stock_is_refused_and_can_come_again() -> None:
    order = uuid7()
    with pytest.raises(service.NothingReserved, match=str(order)):
        confirmed(order)
    assert not InboxEntry.objects.using("inventory").exists()
    placed(order, ("CUP-1", 1))
    assert confirmed(order)


def test_a_cancellation_of_sold_stock_is_refused() -> None:
    order = uuid7()
    placed(order, ("CUP-1", 1))
    confirmed(order)
    with pytest.raises(service.AlreadySold, match=str(order)):
        cancelled(order)
    assert _on_hand()["CUP-1"] == 9


def test_services_refuse_to_work_outside_a_transaction() -> None:
    work: tuple[Callable[[], Any], ...] = (
        lambda: service.stock_reserve(order_id=uuid7(), quantities=[("CUP-1", 1)]),
        lambda: service.stock_sell(order_id=uuid7()),
        lambda: service.stock_release(order_id=uuid7()),
        lambda: service.stock_receive(sku="CUP-1", quantity=1),
        lambda: service.product_add(product=Product(sku="NEW")),
    )
    for call in work:
        with pytest.raises(TransactionManagementError):
            call()


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ({"on_hand": -1}, "stock_on_hand_not_negative"),
        ({"on_hand": 11}, "stock_on_hand_was_received"),
    ],
)
def test_the_database_refuses_stock_that_cannot_be(change: dict[str, int], constraint: str) -> None:
    with pytest.raises(IntegrityError, match=constraint):
        Stock.objects.filter(product_id="CUP-1").update(**change)


def test_the_database_refuses_a_line_of_nothing() -> None:
    order = uuid7()
    placed(order, ("CUP-1", 1))
    with pytest.raises(IntegrityError, match="line_quantity_positive"):
        ReservationLine.objects.update(quantity=0)


def test_counts_add_up_in_every_state() -> None:
    orders = [uuid7() for _ in range(4)]
    for order in orders:
        placed(order, ("CUP-1", 3), ("POT-1", 1))
    confirmed(orders[0])
    cancelled(orders[1])
    assert [_holding(order)[0] for order in orders] == ["sold", "released", "reserved", "rejected"]
    assert use(Inventory).stock_differences() == ()


@pytest.mark.parametrize("broken", ["stock", "line", "state"])
def test_a_count_that_does_not_add_up_is_found(broken: str) -> None:
    order = uuid7()
    placed(order, ("CUP-1", 3))
    match broken:
        case "stock":
            Stock.objects.filter(product_id="CUP-1").update(on_hand=6)
            expected = StockDifference(sku="CUP-1", received=10, on_hand=6, held=3)
        case "line":
            ReservationLine.objects.update(quantity=2)
            expected = StockDifference(sku="CUP-1", received=10, on_hand=7, held=2)
        case _:
            Reservation.objects.update(state="released")
            expected = StockDifference(sku="CUP-1", received=10, on_hand=7, held=0)
    assert use(Inventory).stock_differences() == (expected,)


def test_holdings_come_page_by_page_in_order_of_their_orders() -> None:
    orders = sorted(uuid7() for _ in range(5))
    for order in reversed(orders):
        placed(order, ("CUP-1", 1), ("POT-1", 1))
    seen: list[Holding] = []
    after: UUID | None = None
    pages = 0
    while pages == 0 or after is not None:
        page = use(Inventory).holdings(after=after, limit=2)
        seen += page.holdings
        after, pages = page.after, pages + 1
    assert [holding.order_id for holding in seen] == orders
    assert seen[0].lines == (Line(sku="CUP-1", quantity=1), Line(sku="POT-1", quantity=1))
    assert pages == 3


def test_stock_comes_page_by_page_in_order_of_sku() -> None:
    placed(uuid7(), ("CUP-1", 3))
    first = use(Inventory).stock_facts(limit=2)
    assert first.facts == (
        StockFact(sku="CUP-1", received=10, on_hand=7),
        StockFact(sku="LAMP-1", received=1, on_hand=1),
    )
    assert first.after == "LAMP-1"
    last = use(Inventory).stock_facts(after=first.after, limit=2)
    assert (last.facts, last.after) == ((StockFact(sku="POT-1", received=5, on_hand=5),), None)


def test_no_holding_where_nothing_was_asked_for() -> None:
    assert use(Inventory).holding(order_id=uuid7()) is None


@pytest.mark.django_db(transaction=True)
def test_orders_at_once_neither_deadlock_nor_sell_a_piece_twice() -> None:
    """Every order takes both products, half of them name them in the other order, and half are cancelled meanwhile."""
    with transaction("inventory"):
        service.stock_receive(sku="CUP-1", quantity=90)
        service.stock_receive(sku="POT-1", quantity=55)
    orders = [uuid7() for _ in range(120)]
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for order in orders[number::6]:
                lines = [("CUP-1", 1), ("POT-1", 1)]
                placed(order, *(lines if number % 2 else lines[::-1]))
                if random.random() < 0.5:
                    cancelled(order)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert use(Inventory).stock_differences() == ()
    assert not Stock.objects.filter(on_hand__lt=0).exists()
    states = set(Reservation.objects.values_list("state", flat=True))
    assert {"reserved", "released"} <= states
    assert Reservation.objects.count() == len(orders)


@pytest.mark.django_db(transaction=True)
def test_an_order_and_its_cancellation_at_once_leave_nothing_held() -> None:
    for _ in range(10):
        order = uuid7()
        _at_once(partial(placed, order, ("CUP-1", 1)), partial(cancelled, order))
        assert _holding(order) == ("released", {})
    assert _on_hand()["CUP-1"] == 10


@pytest.mark.django_db(transaction=True)
def test_two_cancellations_at_once_give_back_once() -> None:
    placed(uuid7(), ("CUP-1", 5))
    for _ in range(10):
        order = uuid7()
        placed(order, ("CUP-1", 1))
        _at_once(partial(cancelled, order), partial(cancelled, order))
    assert _on_hand()["CUP-1"] == 5
    assert use(Inventory).stock_differences() == ()


def _at_once(*hear: Callable[[], bool]) -> None:
    together = threading.Barrier(len(hear))

    def work(hear: Callable[[], bool]) -> None:
        try:
            connections["inventory"].ensure_connection()
            together.wait()
            hear()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(hear)) as threads:
        list(threads.map(work, hear))


def _on_hand() -> dict[str, int]:
    return dict(Stock.objects.values_list("product_id", "on_hand"))


def _holding(order: UUID) -> tuple[str, dict[str, int]]:
    holding = use(Inventory).holding(order_id=order)
    assert holding is not None
    return holding.state, {line.sku: line.quantity for line in holding.lines}


def _published() -> list[tuple[str, dict[str, Any]]]:
    events = OutboxEvent.objects.using("inventory").order_by("seq")
    return [(event.type, {key: value for key, value in event.data.items() if key != "type"}) for event in events]
