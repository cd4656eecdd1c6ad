"""Events while their publisher or their subscriber moves: none lost, none twice, none overtaken."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from io import StringIO
from typing import Any

import msgspec
import pytest
from celery import current_app
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import transaction as django_transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from contracts.runtime import publish, transaction
from contracts.runtime.dispatch import deliver
from contracts.runtime.models import Delivery
from contracts.runtime.tasks import acknowledge, receive, relay, relay_all, resume
from extraction.boundaries.operations import Operation
from tests.contracts.conftest import Ears, ears, envelope_of, placed, publish_placed
from tests.following.conftest import ELSEWHERE, Moving, Switch

__all__ = ["ears"]

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
RESERVE = "inventory.reserve_stock"


@pytest.fixture(autouse=True)
def only_one_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: (RESERVE,))


@pytest.fixture(autouse=True)
def queues() -> Iterator[None]:
    """Nothing is left in them, whatever a test sends."""
    messages(ELSEWHERE), messages(f"{ELSEWHERE}_errands")
    yield
    messages(ELSEWHERE), messages(f"{ELSEWHERE}_errands")


def messages(queue: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Task, id and arguments of what a worker of this queue would be given, taken out of it."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    with current_app.connection_for_read() as connection, connection.SimpleQueue(queue) as waiting:
        while True:
            try:
                message = waiting.get(block=False)
            except waiting.Empty:
                return found
            message.ack()
            body = message.payload if not isinstance(message.payload, str) else json.loads(message.payload)
            found.append((message.headers["task"], message.headers["id"], body[1]))


def deliveries() -> list[Delivery]:
    return list(Delivery.objects.using("orders").order_by("id"))


def make_due() -> None:
    Delivery.objects.using("orders").update(available_at="2000-01-01T00:00Z", lease_until=None)


def test_a_subscriber_that_moved_is_told_at_its_new_home_at_once(inventory: Moving, ears: Ears) -> None:
    inventory.leave()
    publish_placed()
    (row,) = deliveries()
    assert (row.state, row.attempts, ears.heard) == ("pending", 0, [])
    assert row.lease_until is not None
    ((task, _, sent),) = messages(ELSEWHERE)
    assert task == "contracts.runtime.tasks.receive"
    assert (sent["delivery_id"], sent["subscriber"], sent["publisher_unit"]) == (row.id, RESERVE, settings.UNIT)


def test_a_subscriber_in_motion_is_told_a_moment_later_and_that_was_no_attempt(inventory: Moving, ears: Ears) -> None:
    with inventory.in_motion() as switch:
        event = publish_placed()
        (row,) = deliveries()
        assert (row.state, row.attempts, row.lease_until) == ("pending", 0, None)
        assert (row.available_at - timezone.now()).total_seconds() < 0.1
        switch.give_up()
    make_due()
    relay("orders")
    assert ears.of(RESERVE) == [event]
    assert deliveries()[0].state == "done"


def test_events_of_one_key_keep_their_order_when_the_subscriber_moves_between_them(
    inventory: Moving, ears: Ears
) -> None:
    """Finding 18: what is dispatched at once does not overtake what is parked."""
    order_id = uuid7()
    with inventory.in_motion() as switch:
        publish_placed(order_id, card="first")
        switch.give_up()
    publish_placed(order_id, card="second")
    assert ears.heard == [], "the second waits for the first"
    inventory.leave()
    make_due()
    relay("orders")
    ((_, _, sent),) = messages(ELSEWHERE)
    assert json.loads(sent["envelope"])["data"]["card"] == "first"
    acknowledge(publisher="orders", delivery_id=sent["delivery_id"], subscriber=RESERVE, error="")
    ((_, _, sent),) = messages(ELSEWHERE)
    assert json.loads(sent["envelope"])["data"]["card"] == "second"


def test_a_publisher_that_moves_between_its_commit_and_the_dispatch_leaves_the_event_to_its_new_home(
    orders: Moving, ears: Ears, caplog: pytest.LogCaptureFixture
) -> None:
    """Finding 1: the refusal is the dispatch's, not the request's, which has committed and is answered."""
    with Operation("request", "place an order") as operation, transaction("orders"):
        django_transaction.on_commit(orders.leave, using="orders")
        publish(placed())
    assert operation.refusal is None
    (row,) = deliveries()
    assert (row.state, row.attempts, row.lease_until, ears.heard) == ("pending", 0, None, [])
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    ((task, _, told),) = messages(ELSEWHERE)
    assert task == "contracts.runtime.tasks.resume", "or it would lie until the relay takes it for forgotten"
    orders.arrive()
    resume(**told)
    assert len(ears.heard) == 1
    assert deliveries()[0].state == "done"


def test_a_publisher_that_moves_while_its_event_is_handled_has_it_handled_once(
    orders: Moving, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = ears.heard
    monkeypatch.setattr(ears, "heard", _Hook(hear, orders.leave))
    event = publish_placed()
    assert list(ears.heard) == [(RESERVE, event)]
    assert deliveries()[0].state == "pending"
    orders.arrive()
    make_due()
    relay("orders")
    assert list(ears.heard) == [(RESERVE, event)]
    assert deliveries()[0].state == "done"


def test_the_new_home_is_told_what_was_handled_while_the_publisher_moved(
    orders: Moving, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or it would wait for the lease of the other side to end, and the next event of the order with it."""
    monkeypatch.setattr(ears, "heard", _Hook(ears.heard, orders.leave))
    order_id = uuid7()
    with transaction("orders"):
        publish(placed(order_id, card="first"))
        publish(placed(order_id, card="second"))
    first = deliveries()[0]
    sent = {task: told for task, _, told in messages(ELSEWHERE)}
    told = sent["contracts.runtime.tasks.acknowledge"]
    assert told["delivery_id"] == first.id
    monkeypatch.setattr(ears, "heard", [])
    orders.arrive()
    acknowledge(**told)
    assert [row.state for row in deliveries()] == ["done", "done"]
    assert [event.card for event in ears.of(RESERVE)] == ["second"], "the first was heard before"


class _Hook(list[Any]):
    """A list that does something after each append."""

    def __init__(self, start: list[Any], after: Any) -> None:
        super().__init__(start)
        self.after = after

    def append(self, item: Any) -> None:
        super().append(item)
        self.after()


def test_the_relay_stands_by_for_a_module_that_lives_elsewhere(orders: Moving, ears: Ears) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    ears.fails.clear()
    make_due()
    orders.leave()
    orders.unfence()  # not the fence stops it
    relay_all()
    assert ears.heard == []
    orders.arrive()
    relay_all()
    assert len(ears.heard) == 1


def test_a_relay_that_is_overtaken_by_a_switch_ends_without_an_error(
    orders: Moving, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    make_due()
    monkeypatch.setattr("contracts.runtime.configuration.configuration.at_home", lambda module: True)
    orders.leave()
    relay_all()
    assert deliveries()[0].attempts == 1


def test_a_relay_that_meets_a_switch_that_is_given_up_goes_on_with_what_it_claimed(
    orders: Moving, ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the rest of its batch would lie until the leases end."""
    ears.fails.add(RESERVE)
    publish_placed(), publish_placed()
    ears.fails.clear()
    make_due()
    with ExitStack() as stack:
        switches: list[Switch] = []

        def deliver_and_meet_a_switch(module: str, claimed: tuple[Any, ...]) -> None:
            deliver(module, claimed)
            if not switches:
                switches.append(stack.enter_context(orders.in_motion()))

        monkeypatch.setattr("contracts.runtime.tasks.deliver", deliver_and_meet_a_switch)
        monkeypatch.setattr("contracts.runtime.following.time.sleep", lambda _: switches[0].give_up())
        assert relay("orders") == 2
    assert [row.state for row in deliveries()] == ["done", "done"]


def test_an_event_from_another_unit_follows_its_subscriber(inventory: Moving, orders: Moving, ears: Ears) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    ears.fails.clear()
    given = {
        "publisher": "orders",
        "publisher_unit": "far",
        "delivery_id": deliveries()[0].id,
        "subscriber": RESERVE,
        "envelope": _envelope(),
    }
    inventory.leave()
    receive.apply(kwargs=given, task_id="the-same", routing_key=settings.UNIT, throw=True)
    assert messages(ELSEWHERE) == [("contracts.runtime.tasks.receive", "the-same", given)]
    assert ears.heard == []


def test_an_acknowledgement_follows_the_publisher(orders: Moving, ears: Ears) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    (row,) = deliveries()
    given = {"publisher": "orders", "delivery_id": row.id, "subscriber": RESERVE, "error": ""}
    orders.leave()
    acknowledge.apply(kwargs=given, task_id="the-same", routing_key=settings.UNIT, throw=True)
    assert messages(ELSEWHERE) == [("contracts.runtime.tasks.acknowledge", "the-same", given)]
    assert deliveries()[0].state == "pending"


def test_a_replay_says_where_the_module_lives(orders: Moving, ears: Ears) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    Delivery.objects.using("orders").update(state="dead")
    orders.leave()
    with pytest.raises(CommandError, match=r"orders lives in warehouse\. .* manage\.py events replay"):
        call_command("events", "replay", "--dead", stdout=StringIO())


def _envelope() -> str:
    return msgspec.json.encode(envelope_of(deliveries()[0].event)).decode()
