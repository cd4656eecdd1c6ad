"""A payment company in a box, in Stripe's manner: what a card does is in its token.

    tok_approve         captured at once
    tok_decline         declined at once
    tok_timeout         captured, and yet no answer comes in time; asked for the status, it says so
    tok_timeout_never   no answer, and no outcome either until it is cancelled
    tok_late            processing, cannot be stopped any more; a signed callback says captured seconds later
    tok_duplicate       the same, sooner, and the callback comes twice
    any other           declined

It keeps its own books (sandbox_charge), writes each line of them at once as a company elsewhere would, and speaks
to the shop by return values and HTTP callbacks only.
"""

import time
from datetime import timedelta
from uuid import UUID

import httpx2
import msgspec
import structlog
from django.conf import settings
from django.db.models import F
from django.db.models.functions import Now

from modules.payments.models import SandboxCharge
from modules.payments.provider import Callback, NoAnswer, Outcome
from modules.payments.signature import HEADER, sign

log = structlog.get_logger(__name__)

ANSWER_WITHIN_S = 0.5
"""How long a caller waits for tok_timeout before it gets NoAnswer."""
CALLBACK_AFTER_S = {"tok_late": 3.0, "tok_duplicate": 0.5}
CALLBACKS = {"tok_late": 1, "tok_duplicate": 2}
CALLBACK_TIMEOUT_S = 5.0
MOST_CALLBACK_ATTEMPTS = 12
SEND_FOR_S = 10.0

State = SandboxCharge.State


class SandboxProvider:
    """Answers the PaymentProvider port."""

    def charge(self, *, key: UUID, amount_cents: int, currency: str, card: str) -> Outcome:
        charge = SandboxCharge(
            key=key,
            state=_first_state(card),
            amount_cents=amount_cents,
            currency=currency,
            card=card,
            reference=f"sandbox_{key.hex}",
            callbacks_left=CALLBACKS.get(card, 0),
        )
        if charge.state == State.DECLINED:
            charge.reason = "card_declined" if card == "tok_decline" else "unknown_card"
        if card in CALLBACKS:
            charge.callback_at = Now() + timedelta(seconds=CALLBACK_AFTER_S[card])
        SandboxCharge.objects.bulk_create([charge], ignore_conflicts=True)
        if card in ("tok_timeout", "tok_timeout_never"):
            time.sleep(ANSWER_WITHIN_S)
            raise NoAnswer(f"no answer within {ANSWER_WITHIN_S} s")
        return _outcome(key)

    def status(self, *, key: UUID) -> Outcome | None:
        SandboxCharge.objects.filter(key=key, state=State.PROCESSING, callback_at__lte=Now()).update(
            state=State.CAPTURED
        )
        return _outcome(key) if SandboxCharge.objects.filter(key=key).exists() else None

    def cancel(self, *, key: UUID) -> Outcome:
        unasked = SandboxCharge(key=key, state=State.CANCELLED, reason="cancelled")
        SandboxCharge.objects.bulk_create([unasked], ignore_conflicts=True)
        SandboxCharge.objects.filter(key=key, state=State.PROCESSING, callbacks_left=0).update(
            state=State.CANCELLED, reason="cancelled"
        )
        return _outcome(key)

    def refund(self, *, key: UUID) -> Outcome:
        SandboxCharge.objects.filter(key=key, state=State.CAPTURED).update(state=State.REFUNDED)
        return _outcome(key)


def send_callbacks() -> int:
    """Send the callbacks that are due, one after another. Returns how many were received.

    One that is not received comes again, after pauses that double, so it may come more than once.
    """
    received, end = 0, time.monotonic() + SEND_FOR_S
    while settings.PAYMENT_SETTINGS["callback_url"] and time.monotonic() < end and (charge := _take_due()):
        if not _received(charge):
            if charge.callback_attempts >= MOST_CALLBACK_ATTEMPTS:
                log.error("callback given up", payment=str(charge.key))
                SandboxCharge.objects.filter(key=charge.key).update(callback_at=None)
            continue
        received += 1
        SandboxCharge.objects.filter(key=charge.key, callbacks_left=charge.callbacks_left).update(
            callbacks_left=F("callbacks_left") - 1,
            callback_at=Now() if charge.callbacks_left > 1 else None,
            callback_attempts=0,
        )
    return received


def _first_state(card: str) -> SandboxCharge.State:
    match card:
        case "tok_approve" | "tok_timeout":
            return State.CAPTURED
        case "tok_timeout_never" | "tok_late" | "tok_duplicate":
            return State.PROCESSING
        case _:
            return State.DECLINED


def _outcome(key: UUID) -> Outcome:
    charge = SandboxCharge.objects.get(key=key)
    return msgspec.convert({"state": charge.state, "reference": charge.reference, "reason": charge.reason}, Outcome)


def _take_due() -> SandboxCharge | None:
    """The next callback to send, moved on before it is sent, so that of two senders only one has it."""
    while charge := SandboxCharge.objects.filter(callback_at__lte=Now()).order_by("callback_at").first():
        SandboxCharge.objects.filter(key=charge.key, state=State.PROCESSING).update(state=State.CAPTURED)
        if SandboxCharge.objects.filter(key=charge.key, callback_at=charge.callback_at).update(
            callback_at=Now() + timedelta(seconds=min(2.0**charge.callback_attempts, 60)),
            callback_attempts=F("callback_attempts") + 1,
        ):
            return SandboxCharge.objects.get(key=charge.key)
    return None


def _received(charge: SandboxCharge) -> bool:
    body = msgspec.json.encode(Callback(key=charge.key, outcome=_outcome(charge.key)))
    try:
        response = httpx2.post(
            settings.PAYMENT_SETTINGS["callback_url"],
            content=body,
            headers={HEADER: sign(body), "Content-Type": "application/json"},
            timeout=CALLBACK_TIMEOUT_S,
            trust_env=False,
        )
    except httpx2.HTTPError as error:
        log.warning("callback not received", payment=str(charge.key), error=f"{type(error).__name__}: {error}")
        return False
    if response.status_code != httpx2.codes.OK:
        log.warning("callback not received", payment=str(charge.key), status=response.status_code)
    return bool(response.status_code == httpx2.codes.OK)
