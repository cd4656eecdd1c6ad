"""The whole checkout: orders, inventory, payments and users on one real database, guards and strict mode on."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.db import connections
from django.db.models.functions import Now
from django.utils import timezone
from psycopg import sql
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from contracts.runtime.models import Delivery
from contracts.runtime.tasks import relay
from modules.orders import tasks as orders_tasks
from modules.orders.models import Order
from modules.payments import sandbox
from modules.payments import tasks as payments_tasks
from modules.payments.models import Payment, SandboxCharge
from shop.audit import audit
from tests.journeys.buying import PRICE_CENTS, Buyer, on_hand, shelve, work

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


@pytest.fixture(autouse=True)
def quick_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "ANSWER_WITHIN_S", 0.01)


@pytest.fixture
def buyer() -> Buyer:
    shelve()
    return Buyer()


@pytest.fixture
def callbacks(live_server: LiveServer, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Lets the sandbox send over HTTP what it has to tell, without its pauses. Returns how many were received."""
    url = f"{live_server.url}/api/payments/callbacks/"
    settings.PAYMENT_SETTINGS = {**settings.PAYMENT_SETTINGS, "callback_url": url}
    for card in sandbox.CALLBACK_AFTER_S:
        monkeypatch.setitem(sandbox.CALLBACK_AFTER_S, card, 0.0)
    return sandbox.send_callbacks


def expire(order_id: UUID) -> None:
    """Let beat find that the order's time is over."""
    Order.objects.filter(id=order_id).update(placed_at=timezone.now() - timedelta(days=1))
    orders_tasks.expire()


def settled() -> bool:
    return audit(wait_s=0).passed


def test_an_approved_card_buys(buyer: Buyer) -> None:
    order_id = buyer.buy()
    assert buyer.look(order_id)["state"] == "pending"
    assert on_hand() == 98
    work()
    assert buyer.look(order_id)["state"] == "confirmed"
    assert buyer.steps(order_id) == ["placed", "stock_reserved", "confirmed"]
    assert buyer.paid(order_id) == "captured"
    assert on_hand() == 98
    assert settled()


def test_a_declined_card_cancels_and_the_stock_comes_back(buyer: Buyer) -> None:
    order_id = buyer.buy("tok_decline")
    work()
    order = buyer.look(order_id)
    assert (order["state"], order["reason"]) == ("cancelled", "declined")
    assert (buyer.paid(order_id), on_hand()) == ("declined", 100)
    assert settled()


def test_an_order_for_more_than_there_is_is_cancelled_and_never_charged(buyer: Buyer) -> None:
    shelve("B-2", pieces=1)
    order_id = buyer.buy(sku="B-2", quantity=2)
    order = buyer.look(order_id)
    assert (order["state"], order["reason"]) == ("cancelled", "out_of_stock")
    work()
    assert (buyer.paid(order_id), on_hand("B-2")) == ("voided", 1)
    assert not SandboxCharge.objects.exists()
    assert settled()


def test_a_provider_that_does_not_answer_in_time_is_asked_for_the_outcome(buyer: Buyer) -> None:
    order_id = buyer.buy("tok_timeout")
    work()
    assert buyer.look(order_id)["state"] == "pending"
    work()
    assert buyer.look(order_id)["state"] == "confirmed"
    assert SandboxCharge.objects.count() == 1
    assert settled()


def test_a_provider_that_never_answers_lets_the_order_expire_and_takes_no_money(buyer: Buyer) -> None:
    order_id = buyer.buy("tok_timeout_never")
    work()
    expire(order_id)
    order = buyer.look(order_id)
    assert (order["state"], order["reason"]) == ("cancelled", "expired")
    work()
    assert (buyer.paid(order_id), on_hand()) == ("voided", 100)
    assert SandboxCharge.objects.get().state == "cancelled"
    assert settled()


def test_a_late_callback_confirms(buyer: Buyer, callbacks: Callable[[], int]) -> None:
    order_id = buyer.buy("tok_late")
    work()
    assert buyer.look(order_id)["state"] == "pending"
    assert callbacks() == 1
    assert buyer.look(order_id)["state"] == "confirmed"
    assert settled()


def test_a_callback_that_comes_twice_confirms_once(buyer: Buyer, callbacks: Callable[[], int]) -> None:
    order_id = buyer.buy("tok_duplicate")
    work()
    assert callbacks() == 2
    assert buyer.steps(order_id) == ["placed", "stock_reserved", "confirmed"]
    assert settled()


def test_a_callback_after_the_expiry_is_refunded_and_the_timeline_says_so(
    buyer: Buyer, callbacks: Callable[[], int]
) -> None:
    order_id = buyer.buy("tok_late")
    work()
    expire(order_id)
    work()
    assert buyer.paid(order_id) == "voided"
    assert callbacks() == 1
    assert buyer.paid(order_id) == "refund_due"
    assert not settled()
    work()
    assert buyer.paid(order_id) == "refunded"
    assert buyer.steps(order_id) == ["placed", "stock_reserved", "cancelled", "refunded"]
    assert SandboxCharge.objects.get().state == "refunded"
    assert settled()


def test_a_callback_that_finds_the_web_away_is_not_needed(buyer: Buyer, settings: Settings) -> None:
    settings.PAYMENT_SETTINGS = {**settings.PAYMENT_SETTINGS, "callback_url": "http://127.0.0.1:1/"}
    order_id = buyer.buy("tok_late")
    work()
    SandboxCharge.objects.update(callback_at=Now() - timedelta(seconds=1))
    payments_tasks.send_sandbox_callbacks()
    work()
    assert buyer.look(order_id)["state"] == "confirmed"
    assert settled()


def test_an_order_that_expires_before_any_worker_comes_is_never_charged(buyer: Buyer) -> None:
    order_id = buyer.buy()
    expire(order_id)
    payments_tasks.charge(str(order_id))
    work()
    assert (buyer.paid(order_id), on_hand()) == ("voided", 100)
    assert SandboxCharge.objects.get().state == "cancelled"
    assert settled()


def test_the_same_key_twice_at_once_sells_once(buyer: Buyer) -> None:
    def place(_: int) -> Any:
        try:
            return buyer.place(key="at-once").json()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(place, range(8)))
    work()
    assert all(answer == answers[0] for answer in answers)
    assert (Order.objects.count(), Payment.objects.count(), on_hand()) == (1, 1, 98)
    assert settled()


def test_customers_who_want_the_last_pieces_at_once_get_what_there_is_and_no_more(buyer: Buyer) -> None:
    shelve("B-2", pieces=3)

    def buy(_: int) -> None:
        try:
            buyer.buy(sku="B-2", quantity=1)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(buy, range(8)))
    while Delivery.objects.using("orders").exclude(state="done").exists():
        relay("orders")
    work()
    states = Counter(Order.objects.values_list("state", flat=True))
    assert states == {"confirmed": 3, "cancelled": 5}
    assert on_hand("B-2") == 0
    assert settled()


def test_a_capture_that_races_an_expiry_ends_confirmed_and_paid_or_cancelled_and_unpaid(buyer: Buyer) -> None:
    order_ids = [buyer.buy() for _ in range(12)]
    Order.objects.update(placed_at=timezone.now() - timedelta(days=1))
    start = threading.Barrier(2)

    def charge_all() -> None:
        start.wait()
        for order_id in order_ids:
            payments_tasks.charge(str(order_id))
        connections.close_all()

    def expire_all() -> None:
        start.wait()
        orders_tasks.expire()
        connections.close_all()

    threads = [threading.Thread(target=charge_all), threading.Thread(target=expire_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(3):
        for module in ("orders", "payments", "inventory"):
            Delivery.objects.using(module).filter(state="pending").update(available_at=Now())
            relay(module)
        work()
    report = audit(wait_s=0)
    assert report.passed, report.differences
    states = Counter(Order.objects.values_list("state", flat=True))
    assert sum(states.values()) == 12
    assert states["pending"] == 0
    assert on_hand() == 100 - 2 * states["confirmed"]
    captured = sum(charge.amount_cents for charge in SandboxCharge.objects.filter(state="captured"))
    assert captured == states["confirmed"] * 2 * PRICE_CENTS


@pytest.mark.parametrize("module", ["orders", "inventory", "users"])
def test_while_a_database_is_away_the_api_says_try_again_and_the_key_stays_free(
    buyer: Buyer, server_url: str, module: str
) -> None:
    role = sql.Identifier(django_settings.DATABASES[module]["USER"])
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("alter role {} nologin").format(role))
        connections[module].close()
        try:
            refused = buyer.place(key="k1")
        finally:
            admin.execute(sql.SQL("alter role {} login").format(role))
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert buyer.place(key="k1").status_code == 201
    assert Order.objects.count() == 1


def test_placing_an_order_and_reserving_its_stock_takes_30_statements_at_most(buyer: Buyer) -> None:
    said: dict[str, list[str]] = {"orders": [], "inventory": [], "payments": [], "users": [], "default": []}

    def note(execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        said[context["connection"].alias].append(str(statement))
        return execute(statement, params, many, context)

    with ExitStack() as stack:
        for alias in said:
            stack.enter_context(connections[alias].execute_wrapper(note))
        buyer.buy()
    most = {"orders": 12, "inventory": 11, "payments": 6, "users": 1, "default": 0}
    assert not {alias: statements for alias, statements in said.items() if len(statements) > most[alias]}
    assert not Delivery.objects.using("orders").exclude(state="done").exists(), "it did less than it should"


@pytest.fixture
def impatient() -> Iterator[None]:
    """Sessions of this thread give up a lock after 0.2 s."""
    for module in ("inventory", "orders"):
        connections[module].cursor().execute("set lock_timeout = '200ms'")
    yield
    for module in ("inventory", "orders"):
        connections[module].cursor().execute("reset lock_timeout")


@contextmanager
def stuck(module: str, statement: str, *parameters: object) -> Iterator[None]:
    """Another session of the module that has done this and does not end its transaction."""
    database = django_settings.DATABASES[module]
    with psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        dbname=database["NAME"],
        user=database["USER"],
        password=database["PASSWORD"],
    ) as session:
        session.execute(statement, parameters)
        yield
        session.rollback()


@pytest.mark.usefixtures("impatient")
def test_a_session_that_is_stuck_on_a_product_neither_holds_a_checkout_nor_loses_its_order(buyer: Buyer) -> None:
    with stuck("inventory", "select from inventory_stock where sku = 'A-1' for update"):
        began = time.monotonic()
        order_id = buyer.buy()
        assert time.monotonic() - began < 2
        waiting = Delivery.objects.using("orders").exclude(state="done").get()
        assert (waiting.state, waiting.attempts, waiting.lease_until) == ("pending", 0, None)
        assert "lock timeout" in waiting.last_error
    Delivery.objects.using("orders").update(available_at=Now())
    relay("orders")
    work()
    assert buyer.look(order_id)["state"] == "confirmed"
    assert on_hand() == 98
    assert settled()


@pytest.mark.usefixtures("impatient")
def test_a_request_that_does_not_get_its_lock_is_told_to_try_again(buyer: Buyer) -> None:
    with stuck(
        "orders",
        "insert into idempotency (scope, key, fingerprint, status, body) values (%s, 'k1', '', 201, '{}')",
        f"order_place:{buyer.id}",
    ):
        refused = buyer.place(key="k1")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
    assert refused["Retry-After"] == "1"
    assert buyer.place(key="k1").status_code == 201
    assert Order.objects.count() == 1


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts Celery workers with beat on this test's databases and broker; ends them.

    What earlier tests sent is taken away first: the workers would do all of it before the first task of this test.
    """
    started: list[subprocess.Popen[bytes]] = []
    with current_app.connection_for_write() as connection:
        for queue in (django_settings.UNIT, django_settings.ERRANDS_QUEUE):
            connection.default_channel.queue_delete(queue)  # type: ignore[attr-defined]

    def start() -> subprocess.Popen[bytes]:
        queues = f"{django_settings.UNIT},{django_settings.ERRANDS_QUEUE}"
        command = (
            "-A",
            "shop",
            "worker",
            "-Q",
            queues,
            "-B",
            "-P",
            "solo",
            "-s",
            str(tmp_path / f"beat{len(started)}"),
        )
        quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")
        log = (tmp_path / f"worker{len(started)}.log").open("wb")
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "celery", *command, *quiet],
                cwd=django_settings.BASE_DIR,
                env={**os.environ, "DJANGO_SETTINGS_MODULE": "shop.settings"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for log in sorted(tmp_path.glob("*.log")):
        print(log.read_text())


def until(holds: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def test_a_worker_killed_while_the_provider_is_asked_loses_nothing_and_takes_no_money_twice(
    buyer: Buyer, workers: Callable[[], subprocess.Popen[bytes]]
) -> None:
    first = workers()
    slow = buyer.buy("tok_timeout")
    until(SandboxCharge.objects.exists)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert buyer.paid(slow) == "charging"
    waiting = buyer.buy()
    Payment.objects.filter(due_at__isnull=False).update(due_at=Now())
    workers()

    def both_are_confirmed() -> bool:
        payments_tasks.sweep()
        return Order.objects.filter(id__in=(slow, waiting), state="confirmed").count() == 2

    until(both_are_confirmed)
    assert SandboxCharge.objects.count() == 2
    assert audit(wait_s=10).passed
