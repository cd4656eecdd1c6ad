"""What happens to a payment: expected, charged, and given back where the order did not come about.

Handlers, tasks and callbacks may come twice and in any order. Each locks the payment and moves it only along
TRANSITIONS; the provider is asked between transactions, under the payment's id as idempotency key.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
import structlog
from django.db.models import F
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from contracts.payments import PaymentCaptured, PaymentDeclined, PaymentRefunded
from contracts.runtime import publish, transaction, transaction_required
from modules.payments import errands
from modules.payments.models import Payment
from modules.payments.provider import NoAnswer, Outcome, PaymentProvider, provider

log = structlog.get_logger(__name__)

State = Payment.State

TRANSITIONS = {
    State.EXPECTED: frozenset({State.CHARGING, State.VOIDED}),
    State.CHARGING: frozenset({State.CAPTURED, State.DECLINED, State.VOIDED}),
    State.CAPTURED: frozenset({State.REFUND_DUE}),
    State.VOIDED: frozenset({State.REFUND_DUE}),  # the provider captured before it heard of the cancellation
    State.REFUND_DUE: frozenset({State.REFUNDED}),
    State.DECLINED: frozenset[Payment.State](),
    State.REFUNDED: frozenset[Payment.State](),
}
"""Every change of state that there is."""

ERRANDS = {State.CHARGING: "charge", State.VOIDED: "stop", State.REFUND_DUE: "refund"}
"""The task that asks the provider while a payment in this state is open there."""

SENT_AGAIN_AFTER_S = 10.0
"""A task that was sent has this long before the sweep sends it again."""
CALLBACK_WITHIN_S = 15.0
"""A charge in processing is asked about when no callback came for so long."""
LONGEST_PAUSE_S = 60.0
SWEPT_AT_ONCE = 200
MOST_REFERENCE, MOST_REASON = 100, 200
"""Characters kept of what the provider says: an outcome is never lost for its length."""


class UnknownPayment(Exception):
    """No payment has this id."""


def payment_expect(*, order_id: UUID, customer_id: UUID, amount_cents: int, currency: str, card: str) -> None:
    """An order was placed: this much will be due, once its stock is reserved."""
    _learn(
        Payment(order_id=order_id, customer_id=customer_id, amount_cents=amount_cents, currency=currency, card=card),
        ("customer_id", "amount_cents", "currency", "card"),
    )


def payment_stock_reserved(*, order_id: UUID) -> None:
    """The stock of an order is reserved: it may be charged, once it is known how much."""
    _learn(Payment(order_id=order_id, is_stock_reserved=True), ("is_stock_reserved",))


def payment_void(*, order_id: UUID) -> None:
    """An order was cancelled: charge it no more, stop a charge that is under way, give back what was captured."""
    payment = _locked_for_order(order_id)
    if payment.state == State.CAPTURED:
        _move(payment, State.REFUND_DUE)
        _send_errand(payment)
    elif State.VOIDED in TRANSITIONS[State(payment.state)]:
        was_asked = payment.state == State.CHARGING
        _move(payment, State.VOIDED)
        payment.due_at = None
        if was_asked:
            _send_errand(payment)
    payment.save()


def payment_charge(*, order_id: UUID) -> None:
    """Ask the provider for the money of a payment that is to be charged, and keep what it says."""

    def ask(payment: Payment, company: PaymentProvider) -> Outcome:
        known = company.status(key=payment.id) if payment.attempts else None
        if known is not None:
            return known
        assert payment.amount_cents is not None
        return company.charge(
            key=payment.id, amount_cents=payment.amount_cents, currency=payment.currency, card=payment.card
        )

    _ask(order_id, State.CHARGING, ask)


def payment_stop(*, order_id: UUID) -> None:
    """Ask the provider to stop the charge of a voided payment."""
    _ask(order_id, State.VOIDED, lambda payment, company: company.cancel(key=payment.id))


def payment_refund(*, order_id: UUID) -> None:
    """Ask the provider to give the money back."""
    _ask(order_id, State.REFUND_DUE, lambda payment, company: company.refund(key=payment.id))


def payment_settle(*, payment_id: UUID, outcome: Outcome) -> None:
    """Keep what the provider says of a payment, told twice or late. Raises UnknownPayment."""
    with transaction("payments"):
        payment = Payment.objects.select_for_update().filter(id=payment_id).first()
        if payment is None:
            raise UnknownPayment(payment_id)
        _settle(payment, outcome)
        payment.save()


def payment_sweep() -> int:
    """Send the tasks of payments that are due: the first sending was lost, or the provider did not answer.

    Returns how many were sent.
    """
    with transaction("payments"):
        due = list(
            Payment.objects.select_for_update(skip_locked=True)
            .filter(due_at__lte=Now())
            .order_by("due_at")[:SWEPT_AT_ONCE]
        )
        Payment.objects.filter(id__in=[payment.id for payment in due]).update(due_at=_in(SENT_AGAIN_AFTER_S))
    return sum(errands.send(ERRANDS[State(payment.state)], order_id=payment.order_id) for payment in due)


def payment_ask_again(*, order_ids: Sequence[UUID]) -> int:
    """Make open payments of these orders due now, for the next sweep. Returns how many are open."""
    return Payment.objects.filter(order_id__in=order_ids, due_at__isnull=False).update(due_at=Now())


def _locked_for_order(order_id: UUID) -> Payment:
    """The payment of an order, locked; made here by whichever event comes first."""
    transaction_required("payments")
    Payment.objects.bulk_create([Payment(order_id=order_id)], ignore_conflicts=True)
    return Payment.objects.select_for_update().get(order_id=order_id)


def _learn(payment: Payment, fields: Sequence[str]) -> None:
    """Keep what an event says of a payment, whichever comes first; charge it once both have come."""
    transaction_required("payments")
    Payment.objects.bulk_create([payment], update_conflicts=True, unique_fields=["order_id"], update_fields=fields)
    sources = [state for state, targets in TRANSITIONS.items() if State.CHARGING in targets]
    ready = Payment.objects.filter(
        order_id=payment.order_id, state__in=sources, is_stock_reserved=True, amount_cents__isnull=False
    )
    if ready.update(state=State.CHARGING, attempts=0, due_at=_in(SENT_AGAIN_AFTER_S)):
        errands.send_after_commit(ERRANDS[State.CHARGING], order_id=payment.order_id)


def _send_errand(payment: Payment) -> None:
    payment.attempts = 0
    payment.due_at = _in(SENT_AGAIN_AFTER_S)
    errands.send_after_commit(ERRANDS[State(payment.state)], order_id=payment.order_id)


def _ask(order_id: UUID, state: Payment.State, ask: Callable[[Payment, PaymentProvider], Outcome]) -> None:
    """Ask outside any transaction, then commit the answer once. Killed in between, it is asked again: same key."""
    payment = Payment.objects.filter(order_id=order_id, state=state, due_at__isnull=False).first()
    if payment is None:
        return
    try:
        outcome = ask(payment, provider())
    except NoAnswer as error:
        log.warning("provider did not answer", payment=str(payment.id), errand=ERRANDS[state], error=str(error))
        pause_s = min(2.0**payment.attempts, LONGEST_PAUSE_S)
        Payment.objects.filter(id=payment.id, state=state, due_at__isnull=False).update(
            attempts=F("attempts") + 1, due_at=_in(pause_s)
        )
        return
    payment_settle(payment_id=payment.id, outcome=outcome)


def _settle(payment: Payment, outcome: Outcome) -> None:
    outcome = msgspec.structs.replace(
        outcome, reference=outcome.reference[:MOST_REFERENCE], reason=outcome.reason[:MOST_REASON]
    )
    payment.reference = outcome.reference or payment.reference
    match State(payment.state), outcome.state:
        case (State.CHARGING, "captured"):
            _move(payment, State.CAPTURED)
            payment.due_at = None
            publish(
                PaymentCaptured(
                    order_id=payment.order_id,
                    amount_cents=payment.amount_cents or 0,
                    currency=payment.currency,
                    reference=payment.reference,
                )
            )
        case (State.CHARGING, "declined" | "cancelled" | "refunded"):
            _move(payment, State.DECLINED)
            payment.due_at, payment.reason = None, outcome.reason or outcome.state
            publish(PaymentDeclined(order_id=payment.order_id, reason=payment.reason))
        case (State.VOIDED, "captured"):
            _move(payment, State.REFUND_DUE)
            _send_errand(payment)
        case (State.VOIDED, "declined" | "cancelled" | "refunded"):
            payment.due_at, payment.reason = None, outcome.reason or outcome.state
        case (State.REFUND_DUE, "refunded"):
            _move(payment, State.REFUNDED)
            payment.due_at = None
            publish(
                PaymentRefunded(
                    order_id=payment.order_id, amount_cents=payment.amount_cents or 0, currency=payment.currency
                )
            )
        case (State.CHARGING | State.VOIDED, "processing") if payment.due_at is not None:
            payment.attempts += 1
            payment.due_at = _in(CALLBACK_WITHIN_S)
        case _:
            log.info("nothing new from the provider", payment=str(payment.id), state=payment.state, says=outcome.state)


def _move(payment: Payment, to: Payment.State) -> None:
    if to not in TRANSITIONS[State(payment.state)]:
        raise AssertionError(f"payment {payment.id} cannot go from {payment.state} to {to}")
    payment.state = to


def _in(seconds: float) -> CombinedExpression:
    return Now() + timedelta(seconds=seconds)
