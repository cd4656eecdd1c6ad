"""Tasks of a module that moves: run where it lives, under the same id, and by one beat only."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import current_app, shared_task
from celery.contrib.testing.worker import start_worker
from celery.exceptions import Reject
from django.conf import settings
from django.db import DatabaseError

from contracts.runtime import follower, transaction
from contracts.runtime.errors import Refused
from modules.orders import tasks as orders_tasks
from shop.queues import move_tasks
from tests.contracts.workers import worker
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.test_events import messages
from tests.following.urls import rows, write

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
before: list[Callable[[], Any]] = []
runs: list[int] = []
OF_BEAT: Any = {"celery_beat_task": True}


@shared_task(name="modules.inventory.tasks.count_for_the_test")
def count(number: int) -> None:
    runs.append(number)
    if before:
        before.pop(0)()
    with transaction("inventory"):
        write("inventory")


@shared_task(name="modules.orders.tasks.stray_for_the_test")
def stray() -> None:
    with transaction("inventory"):
        write("inventory")


@shared_task(name="modules.inventory.tasks.retry_for_the_test", autoretry_for=(DatabaseError,), default_retry_delay=0)
def retrying(number: int) -> None:
    count.run(number)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before.clear()
    runs.clear()
    for queue in (ELSEWHERE, f"{ELSEWHERE}_errands", settings.UNIT):
        messages(queue)
    yield
    for queue in (ELSEWHERE, f"{ELSEWHERE}_errands", settings.UNIT):
        messages(queue)


def test_a_task_in_motion_is_tried_again_here(inventory: Moving) -> None:
    with inventory.in_motion() as switch:
        before[:] = [lambda: None, lambda: None, switch.give_up]
        count.apply(args=(7,), task_id="one", routing_key=settings.UNIT, throw=True)
    assert (runs, rows("inventory")) == ([7, 7, 7], 1)
    assert messages(ELSEWHERE) == messages(settings.UNIT) == []


@pytest.mark.parametrize("suffix", ["", "_errands"])
def test_a_task_of_a_module_that_left_goes_to_the_same_queue_of_its_home(inventory: Moving, suffix: str) -> None:
    inventory.leave()
    count.apply(kwargs={"number": 7}, task_id="one", routing_key=f"{settings.UNIT}{suffix}", throw=True)
    assert rows("inventory") == 0
    assert runs == [], "what it does beyond the database is the home's to do"
    assert messages(f"{ELSEWHERE}{suffix}") == [(count.name, "one", {"number": 7})]


def test_a_task_whose_module_leaves_while_it_runs_is_sent_on(inventory: Moving) -> None:
    before[:] = [inventory.leave]
    count.apply(kwargs={"number": 7}, task_id="one", routing_key=settings.UNIT, throw=True)
    assert (runs, rows("inventory")) == ([7], 0)
    assert messages(ELSEWHERE) == [(count.name, "one", {"number": 7})]


def test_a_task_that_retries_itself_is_sent_on_once(inventory: Moving) -> None:
    before[:] = [inventory.leave]
    retrying.apply_async(kwargs={"number": 7}, task_id="one", queue=settings.UNIT)
    found: list[Any] = []
    with start_worker(current_app, pool="solo", queues=[settings.UNIT], perform_ping_check=False, loglevel="error"):
        end = time.monotonic() + 60
        while not found:
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)
            found += messages(ELSEWHERE)
        time.sleep(1)
        found += messages(ELSEWHERE)
    assert (runs, found) == ([7], [(retrying.name, "one", {"number": 7})])


def test_a_motion_that_lasts_sends_the_task_to_the_end_of_its_queue(
    inventory: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PATIENCE_S", 0.02)
    with inventory.in_motion():
        count.apply(kwargs={"number": 7}, task_id="one", routing_key=settings.UNIT, throw=True)
    assert messages(settings.UNIT) == [(count.name, "one", {"number": 7})]


def test_a_task_that_may_run_twice_is_sent_on_also_when_it_has_committed(inventory: Moving) -> None:
    """It is acknowledged late, so a worker that is killed there runs it again as well."""

    def write_orders() -> None:
        with transaction("orders"):
            write("orders")
        inventory.leave()

    before[:] = [write_orders]
    count.apply(kwargs={"number": 7}, task_id="one", routing_key=settings.UNIT, throw=True)
    assert [message[1] for message in messages(ELSEWHERE)] == ["one"]


def test_a_task_that_is_acknowledged_early_is_not_run_again_when_it_has_committed(
    inventory: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_orders() -> None:
        with transaction("orders"):
            write("orders")
        inventory.leave()

    monkeypatch.setattr(count, "acks_late", False)
    before[:] = [write_orders]
    with pytest.raises(Refused):
        count.apply(kwargs={"number": 7}, task_id="one", routing_key=settings.UNIT, throw=True)
    assert messages(ELSEWHERE) == []


def test_a_task_does_not_follow_another_module(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(Refused):
        stray.apply(task_id="one", routing_key=settings.UNIT, throw=True)
    assert messages(ELSEWHERE) == []


def test_a_task_that_the_broker_does_not_take_goes_back_to_its_queue(inventory: Moving) -> None:
    inventory.leave(to="w" * 63)  # no queue of pgmq has so long a name
    rejected = count.apply(kwargs={"number": 7}, task_id="one", routing_key=settings.UNIT)
    assert isinstance(rejected.result, Reject)
    assert rejected.result.requeue  # type: ignore[attr-defined]


def test_a_task_that_is_acknowledged_and_cannot_be_sent_fails(
    inventory: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put back it would be lost: the broker has forgotten it."""
    inventory.leave(to="w" * 63)
    monkeypatch.setattr(count, "acks_late", False)
    result = count.apply(kwargs={"number": 7}, task_id="one", routing_key=settings.UNIT)
    assert (result.state, isinstance(result.result, Reject)) == ("FAILURE", False)


@pytest.mark.parametrize("suffix", ["", "_errands"])
def test_what_waits_in_the_queues_of_a_unit_that_is_retired_goes_to_those_of_the_first(suffix: str) -> None:
    left, first = f"{ELSEWHERE}{suffix}", f"first{suffix}"
    send: Any = count.apply_async
    send(kwargs={"number": 7}, queue=left, task_id="taken")
    with current_app.connection_for_read() as connection, connection.SimpleQueue(left) as queue:
        queue.get(timeout=10)  # by a worker that is killed
        send(kwargs={"number": 8}, queue=left, task_id="waits", countdown=3600)
        send(kwargs={"number": 9}, queue=left, headers=OF_BEAT)
        assert move_tasks(settings.BROKER_URL, ELSEWHERE, to="first") == 2
    with current_app.connection_for_read() as connection, connection.SimpleQueue(first) as queue:
        found = [queue.get(timeout=10) for _ in range(2)]
        for message in found:
            message.ack()
    assert [message.headers["id"] for message in found] == ["taken", "waits"]
    assert {message.delivery_info["routing_key"] for message in found} == {first}
    assert messages(left) == messages(first) == []


def test_it_does_so_on_another_broker_too() -> None:
    broker = "memory://"
    send: Any = count.apply_async
    with current_app.connection_for_write(url=broker) as connection:
        nothing: Any = {}
        for headers in (nothing, OF_BEAT):
            send(kwargs={"number": 7}, queue=ELSEWHERE, task_id="one", connection=connection, headers=headers)
        assert move_tasks(broker, ELSEWHERE, to="first") == 1
        with connection.SimpleQueue("first") as queue:
            message = queue.get(timeout=5)
    assert message.headers["id"] == "one"
    assert message.payload[1] == {"number": 7}
    assert move_tasks(broker, ELSEWHERE, to="first") == 0


def test_a_task_that_is_called_like_a_function_says_where_its_module_lives(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(Refused, match="inventory lives in warehouse"):
        count(7)


def test_a_periodic_task_runs_where_its_module_lives_alone(orders: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_tasks, "order_expire_due", lambda: runs.append(1))
    orders_tasks.expire.apply(task_id="one", routing_key=settings.UNIT, throw=True)
    orders.leave()
    orders_tasks.expire.apply(task_id="two", routing_key=settings.UNIT, headers=OF_BEAT, throw=True)
    assert runs == [1]
    assert messages(ELSEWHERE) == [], "beat of the other unit sends its own"
    orders_tasks.expire.apply(task_id="of code", routing_key=settings.UNIT, throw=True)
    assert [message[1] for message in messages(ELSEWHERE)] == ["of code"], "beat knows nothing of it"
    orders.arrive()
    orders_tasks.expire.apply(task_id="three", routing_key=settings.UNIT, throw=True)
    assert runs == [1, 1]


def test_a_real_worker_sends_on_what_it_is_refused(inventory: Moving) -> None:
    inventory.leave()
    given = {"publisher": "orders", "publisher_unit": "far", "delivery_id": 1, "subscriber": "inventory.reserve_stock"}
    envelope = (
        '{"id":"0197a000-0000-7000-8000-000000000001","source":"/shop/orders","type":"orders.order_placed.v1",'
        '"subject":"1","time":"2026-01-01T00:00:00Z","data":{"order_id":"0197a000-0000-7000-8000-000000000002",'
        '"customer_id":"0197a000-0000-7000-8000-000000000003","lines":[],"total_cents":1,"currency":"EUR","card":"x"},'
        '"specversion":"1.0","datacontenttype":"application/json","traceparent":""}'
    )
    with worker(settings.UNIT, modules=",".join(settings.ALL_MODULES)):
        current_app.send_task(
            "contracts.runtime.tasks.receive",
            kwargs={**given, "envelope": envelope},
            queue=settings.UNIT,
            task_id="one",
        )
        end = time.monotonic() + 60
        while not (found := messages(ELSEWHERE)):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.1)
    assert found == [("contracts.runtime.tasks.receive", "one", {**given, "envelope": envelope})]
