from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from uuid_utils.compat import uuid7

from contracts.runtime.identity import remember
from contracts.users import Identity
from modules.payments.models import Payment
from modules.payments.service import payment_charge
from modules.payments.tests.conftest import charging, of

pytestmark = pytest.mark.django_db(databases="__all__")
CHANGELIST = "admin:payments_payment_changelist"


def signed_in(role: Any) -> Client:
    client = Client()
    session = SessionStore()
    remember(session, Identity(id=uuid7(), email="a@shop.example", name="A", role=role))
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = str(session.session_key)
    return client


def ask_again(client: Client, *payments: Payment) -> str:
    chosen = {"action": "ask_again", "_selected_action": [str(payment.pk) for payment in payments]}
    answer = client.post(reverse(CHANGELIST), chosen, follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_an_admin_may_have_the_provider_asked_at_once_about_what_is_open() -> None:
    opened, captured = charging(), charging()
    payment_charge(order_id=captured.order_id)
    assert "within seconds: 1" in ask_again(signed_in("admin"), opened, captured)
    due_at = of(opened.order_id).due_at
    assert due_at is not None
    assert due_at <= timezone.now()
    assert of(captured.order_id).due_at is None


def test_staff_may_look_and_not_act() -> None:
    opened = charging()
    due_at = of(opened.order_id).due_at
    ask_again(signed_in("staff"), opened)
    assert of(opened.order_id).due_at == due_at


@pytest.mark.parametrize("path", ["add/", "{id}/delete/"])
def test_nobody_adds_or_deletes_a_payment_by_hand(path: str) -> None:
    payment = charging()
    answer = signed_in("admin").get(reverse(CHANGELIST) + path.format(id=payment.pk))
    assert answer.status_code == 403
