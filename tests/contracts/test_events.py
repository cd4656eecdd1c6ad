"""Events: written with their cause, handled once, in order of their key, never lost."""

import json
import threading
import time
from datetime import timedelta
from io import StringIO
from itertools import pairwise
from typing import Any

import msgspec
import psycopg
import pytest
from celery import current_app
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections
from django.db.models.functions import Now
from django.db.transaction import TransactionManagementError
from django.utils import timezone
from psycopg import sql
from uuid_utils.compat import uuid7

from contracts.orders import OrderPlaced
from contracts.runtime import (
    HandlerInTransaction,
    Remote,
    UnknownEvent,
    UnknownSubscriber,
    handlers,
    outbox,
    publish,
    transaction,
)
from contracts.runtime.configuration import configuration
from contracts.runtime.dispatch import dispatch, handle, pause_s
from contracts.runtime.idempotency import Answer, record
from contracts.runtime.models import Delivery, IdempotentAnswer, InboxEntry, OutboxEvent
from contracts.runtime.tasks import RelayFailed, acknowledge, purge, receive, relay, relay_all
from modules.payments.models import Payment
from tests.contracts.conftest import Ears, envelope_of, placed, publish_cancelled, publish_placed

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")
RESERVE, EXPECT = "inventory.reserve_stock", "payments.expect"


def deliveries(**wanted: Any) -> list[Delivery]:
    return list(Delivery.objects.using("orders").filter(**wanted).order_by("id"))


def make_due() -> None:
    Delivery.objects.using("orders").update(available_at="2000-01-01T00:00Z")


def test_an_event_reaches_each_subscriber_once_after_the_commit(ears: Ears) -> None:
    with transaction("orders"):
        publish(event := placed())
        assert ears.heard == []
    assert sorted(ears.heard) == [(RESERVE, event), (EXPECT, event)]
    assert {row.state for row in deliveries()} == {"done"}
    assert InboxEntry.objects.using("inventory").count() == InboxEntry.objects.using("payments").count() == 1


def test_an_event_of_a_rolled_back_transaction_never_was(ears: Ears) -> None:
    with pytest.raises(ZeroDivisionError), transaction("orders"):
        publish(placed())
        raise ZeroDivisionError
    assert ears.heard == []
    assert not OutboxEvent.objects.using("orders").exists()


def test_publishing_needs_a_transaction_of_the_publisher() -> None:
    with pytest.raises(TransactionManagementError, match=r"with transaction\('orders'\)"):
        publish(placed())
    with pytest.raises(TransactionManagementError), transaction("inventory"):
        publish(placed())


def test_a_struct_that_no_contract_publishes_is_refused() -> None:
    class Gossip(msgspec.Struct, tag="orders.gossip.v1"):
        pass

    with pytest.raises(UnknownEvent, match="no contract's PUBLISHES"), transaction("orders"):
        publish(Gossip())


def test_a_handler_that_fails_is_tried_again_by_the_relay_and_the_others_are_not(ears: Ears) -> None:
    ears.fails.add(RESERVE)
    event = publish_placed()
    assert ears.heard == [(EXPECT, event)]
    (parked,) = deliveries(state="pending")
    assert (parked.subscriber, parked.attempts, parked.last_error) == (RESERVE, 1, "RuntimeError: out of paper")
    ears.fails.clear()
    make_due()
    assert relay("orders") == 1
    assert ears.heard == [(EXPECT, event), (RESERVE, event)]


def test_an_effect_and_its_inbox_entry_commit_together_or_not_at_all(ears: Ears) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    assert not InboxEntry.objects.using("inventory").exists()


def test_a_handler_killed_after_its_commit_does_not_act_twice(ears: Ears) -> None:
    event = publish_placed()
    Delivery.objects.using("orders").update(state="pending", lease_until="2000-01-01T00:00Z")
    make_due()
    relay("orders")
    assert ears.of(RESERVE) == [event]
    assert {row.state for row in deliveries()} == {"done"}


def test_a_delivery_that_another_process_holds_is_left_alone_until_its_lease_ends(ears: Ears) -> None:
    ears.fails.update({RESERVE, EXPECT})
    publish_placed()
    ears.fails.clear()
    make_due()
    held = deliveries(subscriber=RESERVE)[0]
    assert outbox.run("orders", "claim", id=held.id, lease_s=60)
    relay("orders")
    assert ears.of(RESERVE) == []
    Delivery.objects.using("orders").filter(id=held.id).update(lease_until="2000-01-01T00:00Z")
    relay("orders")
    assert len(ears.of(RESERVE)) == 1


def test_two_relays_at_once_share_the_work_and_repeat_none_of_it(ears: Ears) -> None:
    ears.fails.update({RESERVE, EXPECT})
    for _ in range(20):
        publish_placed()
    ears.fails.clear()
    make_due()

    def run() -> None:
        relay("orders")
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ears.heard) == 40
    assert len({(name, event.order_id) for name, event in ears.heard}) == 40


def test_a_poisoned_event_parks_its_key_and_no_other(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    """One subscriber, two events: the second waits for the first, other keys do not."""
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: (RESERVE,))
    ears.fails.add(RESERVE)
    poisoned = publish_placed()
    ears.fails.clear()
    later = publish_placed(poisoned.order_id)
    other = publish_placed()
    assert ears.of(RESERVE) == [other]
    make_due()
    relay("orders")
    assert ears.of(RESERVE) == [other, poisoned, later]


def test_a_dead_event_still_holds_its_key_until_it_is_replayed(
    ears: Ears, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: (RESERVE,))
    monkeypatch.setattr("contracts.runtime.dispatch.MOST_ATTEMPTS", 1)
    ears.fails.add(RESERVE)
    dead = publish_placed()
    ears.fails.clear()
    later = publish_placed(dead.order_id)
    make_due()
    relay("orders")
    assert [row.state for row in deliveries()] == ["dead", "pending"]
    assert ears.heard == []
    call_command("events", "replay", str(deliveries()[0].event.id))
    assert "1 handled" in capsys.readouterr().out
    assert ears.of(RESERVE) == [dead, later]


def test_ten_failures_make_it_dead_and_the_pause_grows(ears: Ears) -> None:
    ears.fails.update({RESERVE})
    publish_placed()
    for _ in range(12):
        make_due()
        relay("orders")
    (dead,) = deliveries(subscriber=RESERVE)
    assert (dead.state, dead.attempts) == ("dead", 10)
    assert max(pause_s(1) for _ in range(50)) <= 1.2
    assert max(pause_s(9) for _ in range(50)) > 50
    assert len({pause_s(5) for _ in range(50)}) > 40


def test_a_handler_that_kills_its_process_each_time_is_dead_after_ten(ears: Ears) -> None:
    ears.fails.add(RESERVE)
    publish_placed()
    make_due()
    held = Delivery.objects.using("orders").filter(subscriber=RESERVE)
    held.update(attempts=10, lease_until=Now() + timedelta(seconds=5))
    relay("orders")
    assert held.get().state == "pending"
    held.update(lease_until="2000-01-01T00:00Z")
    relay("orders")
    assert held.get().state == "dead"
    assert "killed its process" in held.get().last_error


def test_the_others_of_a_batch_do_not_die_with_a_handler_that_kills_its_process(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears.fails.update({RESERVE, EXPECT})
    publish_placed()
    make_due()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("contracts.runtime.tasks.deliver", killed)
    with pytest.raises(KeyboardInterrupt):
        relay("orders")
    assert sorted(row.attempts for row in deliveries()) == [1, 2]
    Delivery.objects.using("orders").update(lease_until=Now() + timedelta(seconds=1))
    (begun, other), lease = deliveries(), Now() + timedelta(seconds=2)
    Delivery.objects.using("orders").filter(id=begun.id).update(lease_until=lease)
    assert outbox.run("orders", "attempt", id=begun.id, lease_until=begun.lease_until, lease_s=1) is None
    assert outbox.run("orders", "attempt", id=other.id, lease_until=other.lease_until, lease_s=1) is not None


def test_a_database_that_is_away_makes_no_event_dead(
    ears: Ears, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contracts.runtime.dispatch.MOST_ATTEMPTS", 1)
    role = settings.DATABASES["inventory"]["USER"]
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("alter role {} nologin").format(sql.Identifier(role)))
        connections["inventory"].close()
        try:
            event = publish_placed()
            make_due()
            relay("orders")
        finally:
            admin.execute(sql.SQL("alter role {} login").format(sql.Identifier(role)))
    (waiting,) = deliveries(subscriber=RESERVE)
    assert (waiting.state, waiting.attempts, waiting.lease_until) == ("pending", 0, None)
    assert "not permitted to log in" in waiting.last_error
    make_due()
    relay("orders")
    assert ears.of(RESERVE) == [event]


@pytest.mark.parametrize("state", ["55P03", "40P01", "40001"])
def test_a_handler_that_others_were_in_the_way_of_is_tried_again_without_an_attempt(
    ears: Ears, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    def hear(event: OrderPlaced) -> None:
        connections["inventory"].cursor().execute(
            f"do $$ begin raise sqlstate '{state}' using detail = 'tok_secret'; end $$"
        )

    monkeypatch.setitem(handlers._handlers, RESERVE, handlers.Handler(RESERVE, OrderPlaced, hear))
    publish_placed()
    (waiting,) = deliveries(subscriber=RESERVE)
    assert (waiting.state, waiting.attempts, waiting.lease_until) == ("pending", 0, None)
    assert waiting.last_error == f"OperationalError: {state}"


@pytest.fixture
def refused_row(monkeypatch: pytest.MonkeyPatch) -> str:
    """Payments hears of an order and writes a row with `tok_secret` that a constraint refuses. What is told of it."""

    def hear(event: OrderPlaced) -> None:
        Payment.objects.create(order_id=event.order_id, card="tok_secret", state="charging")

    monkeypatch.setitem(handlers._handlers, EXPECT, handlers.Handler(EXPECT, OrderPlaced, hear))
    constraint = "payment_amount_known_when_asked"
    return f'IntegrityError: new row for relation "payments_payment" violates check constraint "{constraint}"'


def test_a_row_that_the_database_refuses_is_neither_kept_with_the_failure_nor_logged(
    ears: Ears, refused_row: str, caplog: pytest.LogCaptureFixture
) -> None:
    publish_placed()
    (failed,) = deliveries(subscriber=EXPECT)
    assert failed.last_error == refused_row
    assert "payment_amount_known_when_asked" in caplog.text
    assert "tok_secret" not in caplog.text


def test_a_row_that_the_database_refuses_is_not_told_to_another_unit(
    ears: Ears, refused_row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    monkeypatch.setattr(current_app, "send_task", lambda *_, kwargs, **__: sent.append(kwargs))
    publish_placed()
    (failed,) = deliveries(subscriber=EXPECT)
    receive(
        publisher="orders",
        publisher_unit="monolith",
        delivery_id=failed.id,
        subscriber=EXPECT,
        envelope=msgspec.json.encode(envelope_of(failed.event)).decode(),
    )
    assert [answer["error"] for answer in sent] == [refused_row]


def test_a_unit_that_does_not_answer_or_a_broker_that_is_away_makes_no_event_dead(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contracts.runtime.dispatch.MOST_ATTEMPTS", 1)
    elsewhere = Remote(unit="stock", url="http://stock")
    monkeypatch.setattr(configuration, "resolve", {"inventory": elsewhere}.get)
    monkeypatch.setattr("contracts.runtime.dispatch.send_to", lambda *_, **__: None)
    publish_placed()
    (row,) = deliveries(subscriber=RESERVE)
    assert (row.state, row.attempts) == ("pending", 0)
    assert row.lease_until
    monkeypatch.setattr("contracts.runtime.dispatch.send_to", lambda *_, **__: 1 / 0)
    Delivery.objects.using("orders").filter(id=row.id).update(available_at=Now(), lease_until=None)
    relay("orders")
    (row,) = deliveries(subscriber=RESERVE)
    assert (row.state, row.attempts, row.lease_until) == ("pending", 0, None)
    acknowledge(publisher="orders", delivery_id=row.id, subscriber=RESERVE, error="RuntimeError: out of paper")
    (row,) = deliveries(subscriber=RESERVE)
    assert (row.state, row.attempts) == ("dead", 1)


def test_a_unit_that_stays_silent_is_sent_an_event_less_and_less_often(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(configuration, "resolve", {"inventory": Remote(unit="stock", url="http://stock")}.get)
    sent: list[int] = []
    monkeypatch.setattr("contracts.runtime.dispatch.send_to", lambda *_, delivery_id, **__: sent.append(delivery_id))
    publish_placed()
    (row,) = deliveries(subscriber=RESERVE)
    pauses = []
    for _ in range(9):
        row.refresh_from_db()
        assert row.lease_until
        pause = row.lease_until - timezone.now()
        pauses.append(pause.total_seconds())
        row.available_at -= pause  # as if that time had passed
        row.lease_until = timezone.now() - timedelta(seconds=1)
        row.save()
        relay("orders")
    assert sent == [row.id] * 10
    assert pauses[0] == pytest.approx(15, abs=2)
    growth = [later / earlier for earlier, later in pairwise(pauses)]
    assert all(1.3 < factor < 2.3 for factor in growth[:4]), pauses
    assert 480 < pauses[-1] < 620, pauses
    assert row.attempts == 0


def test_dead_rows_do_not_starve_the_batch(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.runtime.tasks.BATCH", 2)
    monkeypatch.setattr("contracts.runtime.dispatch.MOST_ATTEMPTS", 1)
    ears.fails.update({RESERVE, EXPECT})
    for _ in range(5):
        publish_placed()
    ears.fails.clear()
    fresh = publish_placed()
    make_due()
    relay("orders")
    assert (RESERVE, fresh) in ears.heard


def test_a_renamed_subscriber_leaves_a_dead_delivery_that_somebody_sees(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: ("inventory.reserve_stock_old",))
    publish_placed()
    Delivery.objects.using("orders").update(available_at=Now() - timedelta(minutes=59))
    relay("orders")
    assert deliveries()[0].state == "pending", "the version that is rolled out may know it"
    make_due()
    relay("orders")
    (orphan,) = deliveries()
    assert orphan.state == "dead"
    assert "no contract names this subscriber" in orphan.last_error


def test_an_unknown_event_type_is_refused_by_name_and_stays(ears: Ears) -> None:
    publish_placed()
    envelope = envelope_of(deliveries()[0].event)
    with pytest.raises(UnknownEvent, match=r"orders\.order_placed\.v9"):
        handle(RESERVE, msgspec.structs.replace(envelope, type="orders.order_placed.v9"))
    with pytest.raises(UnknownSubscriber, match="renamed or removed"):
        handle("inventory.gone", envelope)


def test_a_handler_is_never_started_inside_a_transaction(ears: Ears) -> None:
    publish_placed()
    envelope = envelope_of(deliveries()[0].event)
    with pytest.raises(HandlerInTransaction, match="inside a transaction of orders"), transaction("orders"):
        handle(RESERVE, envelope)


def test_a_handler_must_be_announced_in_its_contract() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"add it to HEARS"):
        handlers.handles(OrderPlaced, name="inventory.eavesdrop")
    with pytest.raises(ImproperlyConfigured, match=r"orders\.order_placed\.v1"):
        handlers.handles(OrderPlaced, name="orders.confirm")


def test_the_sequence_of_a_key_is_the_order_of_its_commits(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second transaction of the same key waits before it takes its number."""
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: (RESERVE,))
    order_id, order = uuid7(), []

    def second() -> None:
        publish_cancelled(order_id)
        order.append("second")
        connections.close_all()

    thread = threading.Thread(target=second)
    with transaction("orders"):
        publish(placed(order_id))
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    types = OutboxEvent.objects.using("orders").order_by("seq").values_list("type", flat=True)
    assert list(types) == ["orders.order_placed.v1", "orders.order_cancelled.v1"]


def test_dispatch_gone_wrong_does_not_reach_the_publisher(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as wrong:
        wrong.setattr("contracts.runtime.dispatch.drain_key", lambda *_: 1 / 0)
        publish_placed()
    make_due()
    relay("orders")
    assert {row.state for row in deliveries()} == {"done"}


def test_what_the_relay_has_no_time_for_is_free_at_once_and_counts_no_attempt(
    ears: Ears, monkeypatch: pytest.MonkeyPatch
) -> None:
    ears.fails.update({RESERVE, EXPECT})
    publish_placed()
    make_due()
    monkeypatch.setattr("contracts.runtime.tasks.RELAY_FOR_S", 0.2)
    monkeypatch.setattr("contracts.runtime.tasks.deliver", lambda *_: time.sleep(0.3))
    assert relay("orders") == 1
    tried, untried = sorted(deliveries(), key=lambda row: row.attempts, reverse=True)
    assert (tried.attempts, untried.attempts) == (2, 1)
    assert tried.lease_until
    assert untried.lease_until is None


def test_a_module_whose_relay_fails_does_not_hold_up_the_others(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    ears.fails.update({RESERVE, EXPECT})
    publish_placed()
    ears.fails.clear()
    make_due()

    def inventory_is_away(module: str, query: str, **parameters: Any) -> Any:
        if module == "inventory":
            raise OperationalError("connection refused")
        return outbox.run(module, query, **parameters)

    monkeypatch.setattr("contracts.runtime.tasks.run", inventory_is_away)
    with pytest.raises(RelayFailed, match=r"^inventory:"):
        relay_all()
    assert len(ears.heard) == 2


def test_a_delivery_that_is_claimed_for_weeks_does_not_stop_the_relay(ears: Ears) -> None:
    ears.fails.update({RESERVE, EXPECT})
    publish_placed()
    ears.fails.clear()
    make_due()
    Delivery.objects.using("orders").update(attempts=32767)
    assert relay("orders") == 2


def test_purge_deletes_what_is_done_and_keeps_what_is_not(ears: Ears) -> None:
    publish_placed()
    ears.fails.add(RESERVE)
    publish_placed()
    OutboxEvent.objects.using("orders").update(occurred_at="2000-01-01T00:00Z")
    Delivery.objects.using("orders").filter(state="done").update(done_at="2000-01-01T00:00Z")
    assert purge("orders", days=7) == 1
    assert [row.state for row in deliveries()] == ["pending", "done"]
    assert InboxEntry.objects.using("payments").count() == 2


def test_purge_deletes_answers_to_keys_that_nobody_repeats_any_more() -> None:
    for key in ("old", "new"):
        with transaction("orders"):
            record("orders", scope="test", key=key, request={}, answer=Answer(201, {}))
    answers = IdempotentAnswer.objects.using("orders")
    answers.filter(key="old").update(created_at=Now() - timedelta(days=31))
    purge("orders", days=0)
    assert [answer.key for answer in answers.all()] == ["new"]


def test_a_purge_that_is_killed_keeps_what_it_has_done(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        publish_placed()
    OutboxEvent.objects.using("orders").update(occurred_at="2000-01-01T00:00Z")
    Delivery.objects.using("orders").update(done_at="2000-01-01T00:00Z")
    monkeypatch.setattr("contracts.runtime.tasks.PURGED_AT_ONCE", 1)
    left = iter(range(5))

    def killed_after_a_while(module: str, query: str, **parameters: Any) -> Any:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return outbox.run(module, query, **parameters)

    monkeypatch.setattr("contracts.runtime.tasks.run", killed_after_a_while)
    with pytest.raises(KeyboardInterrupt):
        purge("orders", days=7)
    assert OutboxEvent.objects.using("orders").count() == 1
    monkeypatch.undo()
    assert purge("orders", days=7) <= 1
    assert not OutboxEvent.objects.using("orders").exists()


def test_events_are_listed_and_shown_with_what_holds_them_up(
    ears: Ears, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: (RESERVE,))
    ears.fails.add(RESERVE)
    first = publish_placed()
    publish_placed(first.order_id)
    call_command("events", "list", "--state", "pending", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert [row["subscriber"] for row in listed] == [RESERVE, RESERVE]
    call_command("events", "show", listed[0]["event"])
    shown = json.loads(capsys.readouterr().out)
    assert shown["deliveries"][0]["held_up_by"] == listed[1]["event"]
    call_command("events", "list")
    assert "orders: 2 pending" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["show", "nonsense"], ["show", str(uuid7())], ["replay"], ["purge", "--older-than", "-1"]]
)
def test_events_says_what_to_type_when_asked_wrongly(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"manage\.py events|--dead|takes days"):
        call_command("events", *arguments, stdout=StringIO())


def test_dispatch_takes_up_what_a_slower_process_left_behind(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    """The delivery that was not the head when it was tried is handled by whoever finishes the head."""
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: (RESERVE,))
    ears.fails.add(RESERVE)
    first = publish_placed()
    ears.fails.clear()
    second = publish_placed(first.order_id)
    make_due()
    dispatch("orders", [deliveries()[0].id])
    assert ears.of(RESERVE) == [first, second]
