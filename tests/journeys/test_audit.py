"""The audit sees each invariant broken, and takes work in flight for what it is."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections
from uuid_utils.compat import uuid7

from contracts.runtime import Remote, transaction
from contracts.runtime.configuration import configuration
from contracts.runtime.models import Delivery, OutboxEvent
from modules.orders.models import Order
from modules.payments import tasks
from shop.audit import INVARIANTS, AuditReport, audit
from tests.journeys.buying import Buyer, shelve, work

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture
def bought() -> UUID:
    """A confirmed order of 2 × A-1 at 500 cents, besides a cancelled and an open one."""
    shelve()
    buyer = Buyer()
    order_id = buyer.buy()
    buyer.buy("tok_decline")
    work()
    buyer.buy("tok_late")
    work()
    return order_id


def sql(module: str, statement: str, *parameters: UUID | str) -> None:
    """Run a statement in the module's role, past its code."""
    with connections[module].cursor() as cursor:
        cursor.execute(statement, parameters)


def broken(report: AuditReport) -> set[str]:
    return {name for name, holds in report.invariants.items() if not holds}


def only_line(report: AuditReport) -> str:
    (difference,) = report.differences
    return str(difference)


def test_nothing_differs_in_a_shop_that_works(bought: UUID) -> None:
    report = audit(wait_s=0)
    assert report.differences == ()
    assert report.invariants == dict.fromkeys(INVARIANTS, True)
    assert report.orders == 3


def test_a_piece_that_left_the_shelf_for_nobody_is_seen(bought: UUID) -> None:
    sql("inventory", "update inventory_stock set on_hand = on_hand - 1")
    report = audit(wait_s=0)
    assert broken(report) == {"stock_adds_up"}
    assert only_line(report) == (
        "stock_adds_up: product A-1: expected received 100 - on hand 95 = 5 held; found 4 held"
    )


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update inventory_reservation set state = 'released' where order_id = %s", "released"),
        ("update inventory_reservationline set quantity = 3 where order_id = %s", "sold 3 × A-1"),
        ("delete from inventory_reservationline where order_id = %s", "sold"),
    ],
)
def test_a_confirmed_order_that_does_not_hold_its_lines_is_seen(bought: UUID, statement: str, found: str) -> None:
    sql("inventory", statement, bought)
    report = audit(wait_s=0)
    assert "stock_is_of_orders" in broken(report)
    assert f"stock_is_of_orders: order {bought}: expected confirmed, reserved or sold 2 × A-1; found {found}" in map(
        str, report.differences
    )


def test_a_cancelled_order_that_holds_stock_is_seen(bought: UUID) -> None:
    sql("inventory", "update inventory_reservation set state = 'reserved' where state = 'released'")
    assert "stock_is_of_orders" in broken(audit(wait_s=0))


def test_stock_that_is_held_for_no_order_is_seen(bought: UUID) -> None:
    sql("orders", "delete from orders_timelineentry where order_id = %s", bought)
    sql("orders", "delete from orders_orderline where order_id = %s", bought)
    sql("orders", "delete from orders_order where id = %s", bought)
    report = audit(wait_s=0)
    assert broken(report) == {"stock_is_of_orders", "captured_is_confirmed"}
    assert all(str(bought) in str(difference) for difference in report.differences)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("update payments_payment set amount_cents = 499 where order_id = %s", "captured 499 cents"),
        ("update payments_payment set state = 'refunded' where order_id = %s", "refunded 500 cents"),
        ("update payments_payment set state = 'charging' where order_id = %s", "charging 500 cents"),
        ("delete from payments_payment where order_id = %s", "nothing 0 cents"),
    ],
)
def test_a_confirmed_order_that_is_not_paid_exactly_is_seen(bought: UUID, statement: str, found: str) -> None:
    sql("payments", statement, bought)
    report = audit(wait_s=0)
    assert broken(report) == {"captured_is_confirmed"}
    assert only_line(report) == (
        f"captured_is_confirmed: order {bought}: expected confirmed, captured 500 cents; found {found}"
    )


@pytest.mark.parametrize("state", ["captured", "refund_due", "charging"])
def test_a_cancelled_order_that_was_paid_is_seen(bought: UUID, state: str) -> None:
    sql("payments", "update payments_payment set state = %s where state = 'declined'", state)
    assert broken(audit(wait_s=0)) == {"captured_is_confirmed"}


@pytest.mark.django_db(transaction=False, databases="__all__")
def test_two_orders_for_one_key_are_seen() -> None:
    sql("orders", "alter table orders_order drop constraint order_once_per_key")
    customer_id, first, second = uuid7(), uuid7(), uuid7()
    for order_id in (first, second):
        Order.objects.create(
            id=order_id, customer_id=customer_id, idempotency_key="k1", total_cents=1, currency="EUR", deliver_to="-"
        )
    report = audit(wait_s=0)
    assert broken(report) == {"one_order_per_key"}
    assert only_line(report) == (
        f"one_order_per_key: key 'k1' of customer {customer_id}: expected order {first}; "
        f"found order {first}, order {second}"
    )


def test_an_order_that_hangs_is_seen(bought: UUID) -> None:
    sql("orders", "update orders_order set placed_at = placed_at - interval '1 hour' where state = 'pending'")
    report = audit(wait_s=0)
    assert broken(report) == {"nothing_stuck"}
    assert only_line(report).endswith("found pending")


@pytest.mark.parametrize("module", ["inventory", "orders", "payments"])
def test_an_event_that_was_given_up_is_seen(bought: UUID, module: str) -> None:
    dead = Delivery.objects.using(module).order_by("id").first()
    assert dead is not None
    Delivery.objects.using(module).filter(id=dead.id).update(state="dead", last_error="out of paper", attempts=10)
    report = audit(wait_s=0)
    assert broken(report) == {"nothing_stuck"}
    assert only_line(report) == (
        f"nothing_stuck: {module} delivery {dead.id} of {dead.key}: expected handled by {dead.subscriber}; "
        "found given up after 10 attempts: out of paper"
    )


@pytest.fixture
def users_elsewhere(bought: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """The users module lives in a unit of its own; the audit asks it nothing."""
    away = Remote(unit="people", url="http://127.0.0.1:1")
    resolve, at_home = configuration.resolve, configuration.at_home
    monkeypatch.setattr(configuration, "resolve", lambda module: away if module == "users" else resolve(module))
    monkeypatch.setattr(configuration, "at_home", lambda module: module != "users" and at_home(module))


@pytest.mark.usefixtures("users_elsewhere")
def test_events_in_the_copy_of_a_module_that_lives_elsewhere_are_not_taken_for_its_events() -> None:
    event = OutboxEvent.objects.using("users").create(id=uuid7(), type="users.test.v1", key="k", data={})
    Delivery.objects.using("users").create(event=event, subscriber="somebody", key="k", state="dead", attempts=10)
    report = audit(wait_s=0)
    assert report.differences == ()
    assert report.events_of == ("inventory", "orders", "payments")
    assert report.events_elsewhere == {"users": "people"}


@pytest.mark.usefixtures("users_elsewhere")
def test_the_command_says_whose_events_it_did_not_look_at() -> None:
    out = StringIO()
    call_command("audit", wait=0, stdout=out, no_color=True)
    assert (
        "  not looked at: events of users that were given up. It lives in people; run manage.py audit there"
        in out.getvalue().splitlines()
    )


def test_a_capture_on_its_way_to_the_order_is_no_violation() -> None:
    shelve()
    order_id = Buyer().buy()
    locked, let_go = threading.Event(), threading.Event()

    def hold_the_order() -> None:
        with transaction("orders"):
            Order.objects.select_for_update().get(id=order_id)
            locked.set()
            let_go.wait(20)
        connections.close_all()

    def charge() -> None:
        tasks.charge(str(order_id))
        connections.close_all()

    threads = [threading.Thread(target=hold_the_order), threading.Thread(target=charge)]
    threads[0].start()
    assert locked.wait(10)
    threads[1].start()
    end = time.monotonic() + 10
    while audit(wait_s=0).passed:
        assert time.monotonic() < end
    assert broken(audit(wait_s=0)) == {"captured_is_confirmed"}
    threading.Timer(0.5, let_go.set).start()
    report = audit(wait_s=20)
    assert report.differences == ()
    assert 0.2 < report.waited_s < 15
    for thread in threads:
        thread.join()


def test_a_difference_that_stays_is_reported_when_the_wait_is_over(bought: UUID) -> None:
    sql("payments", "update payments_payment set amount_cents = 499 where order_id = %s", bought)
    report = audit(wait_s=0.6)
    assert broken(report) == {"captured_is_confirmed"}
    assert 0.6 <= report.waited_s < 5


def test_it_passes_while_customers_buy() -> None:
    shelve(pieces=100_000)
    stop = threading.Event()
    failures: list[BaseException] = []

    def keep(do: Callable[[], object]) -> None:
        try:
            while not stop.is_set():
                do()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    buyers = [Buyer(), Buyer()]
    cards = ["tok_approve", "tok_decline"]
    threads = [
        threading.Thread(target=keep, args=(lambda buyer=buyer, card=card: buyer.buy(card),))
        for buyer, card in zip(buyers, cards, strict=True)
    ]
    threads.append(threading.Thread(target=keep, args=(work,)))
    for thread in threads:
        thread.start()
    try:
        reports = [audit(wait_s=20) for _ in range(5)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert [report.differences for report in reports] == [()] * 5
    assert reports[-1].orders > 0


def test_the_command_prints_each_invariant(bought: UUID) -> None:
    out = StringIO()
    call_command("audit", wait=0, stdout=out, no_color=True)
    assert out.getvalue().splitlines()[:-1] == [f"{name}… OK" for name in INVARIANTS]


def test_the_command_ends_with_status_1_and_json_that_says_what_differs(bought: UUID) -> None:
    sql("payments", "update payments_payment set amount_cents = 499 where order_id = %s", bought)
    done = subprocess.run(
        [sys.executable, "manage.py", "audit", "--json", "--wait", "0"],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["invariants"] == {name: name != "captured_is_confirmed" for name in INVARIANTS}
    assert report["differences"][0]["of"] == f"order {bought}"
    assert "manage.py events" in done.stderr


def test_without_an_answer_nothing_is_said(bought: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Remote(unit="away-from-audit", url="http://127.0.0.1:1")
    monkeypatch.setattr(configuration, "resolve", lambda module: away if module == "inventory" else None)
    with pytest.raises(CommandError, match=r"manage\.py up"):
        call_command("audit", wait=0)
