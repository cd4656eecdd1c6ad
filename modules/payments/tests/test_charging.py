"""From an expected payment to money, or none, whatever comes twice, late or never."""

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import psycopg
import pytest
from celery import Celery, current_app
from django.db import IntegrityError
from django.db.models.functions import Now
from psycopg import sql
from pytest_django import Settings
from uuid_utils.compat import uuid7

from contracts.runtime.transactions import open_transactions
from modules.payments import errands, service
from modules.payments.contract import IMPLEMENTATION as payments
from modules.payments.models import Payment, SandboxCharge
from modules.payments.provider import Outcome, provider
from modules.payments.sandbox import SandboxProvider
from modules.payments.service import payment_charge, payment_refund, payment_settle, payment_stop, payment_sweep
from modules.payments.tests.conftest import (
    AMOUNT,
    books,
    cancelled,
    charging,
    of,
    placed,
    published,
    stock_reserved,
)

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, UUID]]:
    """Tasks that were to be sent after the commit, noted and not sent."""
    noted: list[tuple[str, UUID]] = []
    monkeypatch.setattr(errands, "send_after_commit", lambda errand, *, order_id: noted.append((errand, order_id)))
    return noted


def make_due(payment: Payment) -> None:
    Payment.objects.filter(id=payment.id).update(due_at=Now() - timedelta(seconds=1))


def run_errands(order_id: UUID) -> None:
    """What a worker does until nothing is open at the provider."""
    for _ in range(5):
        payment = of(order_id)
        if payment.due_at is None:
            return
        {"charging": payment_charge, "voided": payment_stop, "refund_due": payment_refund}[payment.state](
            order_id=order_id
        )


@pytest.mark.parametrize("first", [placed, stock_reserved])
def test_it_is_charged_once_amount_and_stock_are_known_in_either_order(
    first: object, sent: list[tuple[str, UUID]]
) -> None:
    order_id = uuid7()
    second = stock_reserved if first is placed else placed
    first(order_id)  # type: ignore[operator]
    assert (of(order_id).state, sent) == ("expected", [])
    second(order_id)
    assert (of(order_id).state, sent) == ("charging", [("charge", order_id)])


def test_an_approved_card_is_captured_once() -> None:
    payment = charging()
    for _ in range(2):
        payment_charge(order_id=payment.order_id)
    found = payments.payment(order_id=payment.order_id)
    assert found is not None
    assert (found.state, found.amount_cents, found.currency) == ("captured", AMOUNT, "EUR")
    assert found.reference == books(payment).reference
    assert published(payment.order_id) == ["payment_captured"]


@pytest.mark.parametrize(("card", "reason"), [("tok_decline", "card_declined"), ("tok_chargeback", "unknown_card")])
def test_a_declined_card_says_why(card: str, reason: str) -> None:
    payment = charging(card=card)
    payment_charge(order_id=payment.order_id)
    found = payments.payment(order_id=payment.order_id)
    assert found is not None
    assert (found.state, found.reason) == ("declined", reason)
    assert published(payment.order_id) == ["payment_declined"]


@pytest.mark.parametrize(("state", "kept"), [("captured", "captured"), ("declined", "declined")])
def test_an_outcome_is_kept_however_long_its_words_are(state: Any, kept: str) -> None:
    payment = charging()
    payment_settle(payment_id=payment.id, outcome=Outcome(state=state, reference="r" * 1000, reason="w" * 1000))
    payment.refresh_from_db()
    assert (payment.state, payment.reference) == (kept, "r" * 100)


def test_without_an_answer_in_time_the_status_is_asked_and_the_money_taken_once() -> None:
    payment = charging(card="tok_timeout")
    payment_charge(order_id=payment.order_id)
    assert (of(payment.order_id).state, of(payment.order_id).attempts) == ("charging", 1)
    payment_charge(order_id=payment.order_id)
    assert of(payment.order_id).state == "captured"
    assert SandboxCharge.objects.count() == 1
    assert published(payment.order_id) == ["payment_captured"]


def test_a_worker_killed_after_the_provider_said_yes_gets_the_same_yes_when_the_task_comes_again() -> None:
    payment = charging()
    said = provider().charge(key=payment.id, amount_cents=AMOUNT, currency="EUR", card="tok_approve")
    assert of(payment.order_id).state == "charging"
    payment_charge(order_id=payment.order_id)
    assert (of(payment.order_id).state, of(payment.order_id).reference) == ("captured", said.reference)
    assert SandboxCharge.objects.count() == 1


def test_the_provider_is_asked_outside_any_transaction(settings: Settings) -> None:
    payment = charging()
    Witness.saw = []
    settings.PAYMENT_SETTINGS = {**settings.PAYMENT_SETTINGS, "provider": f"{__name__}.Witness"}
    payment_charge(order_id=payment.order_id)
    assert Witness.saw == [[]]
    assert of(payment.order_id).state == "captured"


class Witness(SandboxProvider):
    """The sandbox, noting which transactions are open when it is asked."""

    saw: list[list[str]] = []

    def charge(self, *, key: UUID, amount_cents: int, currency: str, card: str) -> Outcome:
        self.saw.append(open_transactions())
        return super().charge(key=key, amount_cents=amount_cents, currency=currency, card=card)


def test_a_voided_payment_is_not_charged_any_more() -> None:
    payment = charging()
    cancelled(payment.order_id)
    payment_charge(order_id=payment.order_id)
    assert of(payment.order_id).state == "voided"
    assert books(payment) is None


def test_a_charge_under_way_is_stopped_at_the_provider_and_cannot_begin_afterwards(
    sent: list[tuple[str, UUID]],
) -> None:
    payment = charging(card="tok_timeout_never")
    payment_charge(order_id=payment.order_id)
    cancelled(payment.order_id)
    assert sent[-1] == ("stop", payment.order_id)
    payment_stop(order_id=payment.order_id)
    assert (of(payment.order_id).state, of(payment.order_id).due_at) == ("voided", None)
    assert books(payment).state == "cancelled"
    late = provider().status(key=payment.id)
    assert late is not None
    assert late.state == "cancelled"


def test_a_charge_that_arrives_at_the_provider_after_its_stop_takes_no_money() -> None:
    payment = charging()
    cancelled(payment.order_id)
    payment_stop(order_id=payment.order_id)
    late = provider().charge(key=payment.id, amount_cents=AMOUNT, currency="EUR", card="tok_approve")
    assert late.state == "cancelled"


def test_what_was_captured_before_the_cancellation_is_refunded(sent: list[tuple[str, UUID]]) -> None:
    payment = charging()
    payment_charge(order_id=payment.order_id)
    cancelled(payment.order_id)
    assert (of(payment.order_id).state, sent[-1]) == ("refund_due", ("refund", payment.order_id))
    payment_refund(order_id=payment.order_id)
    payment_refund(order_id=payment.order_id)
    assert of(payment.order_id).state == "refunded"
    assert books(payment).state == "refunded"
    assert published(payment.order_id) == ["payment_captured", "payment_refunded"]


def test_money_that_the_provider_took_unseen_is_found_by_the_stop_and_refunded() -> None:
    payment = charging(card="tok_timeout")
    payment_charge(order_id=payment.order_id)
    cancelled(payment.order_id)
    payment_stop(order_id=payment.order_id)
    assert of(payment.order_id).state == "refund_due"
    payment_refund(order_id=payment.order_id)
    assert (of(payment.order_id).state, books(payment).state) == ("refunded", "refunded")
    assert published(payment.order_id) == ["payment_refunded"]


@pytest.mark.parametrize("card", ["tok_approve", "tok_decline", "tok_timeout", "tok_timeout_never"])
@pytest.mark.parametrize("turn", range(24))
def test_a_cancelled_order_keeps_no_money_in_whatever_order_things_happen(card: str, turn: int) -> None:
    order_id = uuid7()
    happens: tuple[Callable[[], None], ...] = (
        lambda: placed(order_id, card=card),
        lambda: stock_reserved(order_id),
        lambda: cancelled(order_id),
        lambda: payment_charge(order_id=order_id),
    )
    for step in list(permutations(happens))[turn]:
        step()
    run_errands(order_id)
    payment = of(order_id)
    assert payment.due_at is None
    assert payment.state in ("voided", "declined", "refunded")
    assert books(payment) is None or books(payment).state in ("declined", "cancelled", "refunded")


def test_a_payment_goes_only_along_the_named_transitions() -> None:
    payment = charging()
    with pytest.raises(AssertionError, match="cannot go from charging to refunded"):
        service._move(payment, Payment.State.REFUNDED)


def test_a_charge_without_an_amount_is_refused_by_the_database() -> None:
    with pytest.raises(IntegrityError, match="payment_amount_known_when_asked"):
        Payment.objects.create(order_id=uuid7(), state="charging")


def test_payments_come_page_by_page_in_order_of_order_id() -> None:
    ids = [charging().order_id for _ in range(5)]
    first = payments.payments(limit=3)
    assert [payment.order_id for payment in first.payments] == ids[:3]
    second = payments.payments(after=first.after, limit=3)
    assert [payment.order_id for payment in second.payments] == ids[3:]
    assert second.after is None
    assert payments.payment(order_id=uuid7()) is None


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_broker_that_is_away_delays_one_task_briefly_and_the_sweep_sends_all_of_them_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    charging()
    waiting = in_queue()
    away = Celery("away", set_as_current=False)
    away.config_from_object("django.conf:settings", namespace="CELERY")
    options = {**away.conf.broker_transport_options, "conn_string": "postgresql://shop_broker:x@127.0.0.1:1/away"}
    away.conf.update(broker_url="pgmq://shop_broker:x@127.0.0.1:1/away", broker_transport_options=options)
    with monkeypatch.context() as patched:
        patched.setattr(errands, "current_app", away)
        began = time.monotonic()
        first = charging()
        assert time.monotonic() - began < 4
        began = time.monotonic()
        second = charging()
        assert time.monotonic() - began < 0.5
        make_due(first)
        make_due(second)
        assert payment_sweep() == 0
        assert {of(first.order_id).state, of(second.order_id).state} == {"charging"}
    monkeypatch.setattr(errands, "_not_before", 0.0)
    make_due(first)
    make_due(second)
    assert payment_sweep() == 2
    assert in_queue() == waiting + 2


def in_queue() -> int:
    """Messages for the worker that asks the provider: not those of the relay, which must not wait behind them."""
    address = current_app.conf.broker_url.replace("pgmq://", "postgresql://")
    with psycopg.connect(address) as connection:
        table = sql.Identifier("pgmq", f"q_{current_app.conf.task_default_queue}_errands")
        row = connection.execute(sql.SQL("select count(*) from {}").format(table)).fetchone()
    assert row is not None
    return int(row[0])


def test_the_sweep_sends_what_is_due_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    noted: list[tuple[str, UUID]] = []

    def note(errand: str, *, order_id: UUID) -> bool:
        noted.append((errand, order_id))
        return True

    monkeypatch.setattr(errands, "send", note)
    due, _, captured = charging(), charging(), charging()
    payment_charge(order_id=captured.order_id)
    make_due(due)
    assert payment_sweep() == 1
    assert noted == [("charge", due.order_id)]
    assert payment_sweep() == 0
