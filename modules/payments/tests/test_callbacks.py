"""What the provider tells unasked: signed, perhaps late, perhaps twice."""

import hashlib
import hmac
import time
from uuid import UUID

import msgspec
import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from pytest_django import Settings
from uuid_utils.compat import uuid7

from modules.payments import sandbox
from modules.payments.models import SandboxCharge
from modules.payments.provider import Callback, Outcome
from modules.payments.service import payment_charge, payment_refund, payment_stop
from modules.payments.signature import HEADER, TOLERANCE_S, sign
from modules.payments.tests.conftest import cancelled, charging, of, published

pytestmark = pytest.mark.django_db(databases="__all__")


def body(key: UUID, state: str = "captured") -> bytes:
    outcome = msgspec.convert({"state": state, "reference": "r-1"}, Outcome)
    return msgspec.json.encode(Callback(key=key, outcome=outcome))


def post(content: bytes, signature: str) -> int:
    answer = Client().post(
        reverse("payment-callback"), content, content_type="application/json", headers={HEADER: signature}
    )
    return int(answer.status_code)


def test_a_signed_callback_settles_the_payment() -> None:
    payment = charging(card="tok_late")
    payment_charge(order_id=payment.order_id)
    assert of(payment.order_id).state == "charging"
    told = body(payment.id)
    assert post(told, sign(told)) == 200
    assert of(payment.order_id).state == "captured"
    assert published(payment.order_id) == ["payment_captured"]


def test_a_callback_that_comes_twice_settles_once() -> None:
    payment = charging()
    told = body(payment.id)
    assert [post(told, sign(told)), post(told, sign(told))] == [200, 200]
    assert published(payment.order_id) == ["payment_captured"]


def test_the_first_of_two_callbacks_that_disagree_stands() -> None:
    payment = charging()
    for told in (body(payment.id, "captured"), body(payment.id, "declined")):
        assert post(told, sign(told)) == 200
    assert of(payment.order_id).state == "captured"
    assert published(payment.order_id) == ["payment_captured"]


def test_a_capture_told_after_the_cancellation_is_refunded() -> None:
    payment = charging(card="tok_late")
    payment_charge(order_id=payment.order_id)
    cancelled(payment.order_id)
    payment_stop(order_id=payment.order_id)
    assert of(payment.order_id).state == "voided"
    SandboxCharge.objects.filter(key=payment.id).update(state="captured")
    told = body(payment.id)
    assert post(told, sign(told)) == 200
    assert of(payment.order_id).state == "refund_due"
    payment_refund(order_id=payment.order_id)
    assert of(payment.order_id).state == "refunded"
    assert published(payment.order_id) == ["payment_refunded"]


def signed(content: bytes, *, secret: str | None = None, at: float | None = None) -> str:
    seconds = str(int(time.time() if at is None else at))
    key = (settings.PAYMENT_SETTINGS["webhook_secret"] if secret is None else secret).encode()
    return f"t={seconds},v1={hmac.new(key, f'{seconds}.'.encode() + content, hashlib.sha256).hexdigest()}"


def test_the_signature_is_the_documented_one() -> None:
    told = body(charging().id)
    assert post(told, signed(told)) == 200


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "nonsense",
        "t=1",
        "v1=00",
        "t=²,v1=00",
        "t=,v1=",
        "t=99999999999999999999,v1=00",
    ],
)
def test_a_signature_that_is_none_is_refused(signature: str) -> None:
    payment = charging()
    assert post(body(payment.id), signature) == 401
    assert of(payment.order_id).state == "charging"


def test_a_signature_of_another_secret_another_body_or_another_time_is_refused() -> None:
    payment = charging()
    told = body(payment.id)
    late = signed(told, at=time.time() - TOLERANCE_S - 5)
    early = signed(told, at=time.time() + TOLERANCE_S + 5)
    moved = signed(told, at=1).replace("t=1,", f"t={int(time.time())},")
    for signature in (signed(told, secret="guess"), signed(body(uuid7())), late, early, moved):
        assert post(told, signature) == 401
    assert of(payment.order_id).state == "charging"


def test_without_a_secret_every_callback_is_refused(settings: Settings) -> None:
    settings.PAYMENT_SETTINGS = {**settings.PAYMENT_SETTINGS, "webhook_secret": ""}
    told = body(charging().id)
    assert post(told, signed(told, secret="")) == 401


def test_an_unknown_payment_is_404() -> None:
    told = body(uuid7())
    assert post(told, sign(told)) == 404


@pytest.mark.parametrize("told", [b"", b"{", b"{}", b'{"key": "x"}', b"\xff", b'{"key": 1, "outcome": {}}'])
def test_a_signed_body_that_is_no_callback_is_400(told: bytes) -> None:
    assert post(told, sign(told)) == 400


def test_only_post_is_allowed() -> None:
    assert Client().get(reverse("payment-callback")).status_code == 405


def test_a_callback_that_nobody_receives_is_sent_again_and_its_outcome_found_by_asking(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sandbox.CALLBACK_AFTER_S, "tok_late", 0.0)
    settings.PAYMENT_SETTINGS = {**settings.PAYMENT_SETTINGS, "callback_url": "http://127.0.0.1:1/"}
    payment = charging(card="tok_late")
    payment_charge(order_id=payment.order_id)
    assert sandbox.send_callbacks() == 0
    charge = SandboxCharge.objects.get(key=payment.id)
    assert (charge.callbacks_left, charge.callback_attempts) == (1, 1)
    assert charge.callback_at is not None
    payment_charge(order_id=payment.order_id)
    assert of(payment.order_id).state == "captured"
