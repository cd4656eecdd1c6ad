from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from contracts.runtime.identity import token_for
from contracts.users import Identity
from modules.payments.tests.conftest import AMOUNT, placed, stock_reserved

pytestmark = pytest.mark.django_db(databases="__all__")


def client_of(customer_id: UUID, role: Any = "customer") -> APIClient:
    client = APIClient()
    identity = Identity(id=customer_id, email="ada@shop.example", name="Ada", role=role)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_for(identity)}")
    return client


def test_a_customer_sees_the_payment_of_their_order_and_never_the_card() -> None:
    order_id, customer_id = uuid7(), uuid7()
    placed(order_id, customer_id=customer_id)
    answer = client_of(customer_id).get(f"/api/payments/{order_id}/")
    assert answer.status_code == 200
    assert answer.json() == {
        "order_id": str(order_id),
        "state": "expected",
        "amount_cents": AMOUNT,
        "currency": "EUR",
        "reference": "",
        "reason": "",
    }


def test_another_customers_payment_is_not_there_and_staff_sees_any() -> None:
    placed(order_id := uuid7())
    path = f"/api/payments/{order_id}/"
    assert client_of(uuid7()).get(path).status_code == 404
    assert client_of(uuid7(), role="staff").get(path).status_code == 200
    assert APIClient().get(path).status_code == 401


def test_a_payment_whose_customer_is_not_known_yet_is_nobodys() -> None:
    stock_reserved(order_id := uuid7())
    assert client_of(uuid7()).get(f"/api/payments/{order_id}/").status_code == 404
    assert client_of(uuid7(), role="staff").get(f"/api/payments/{order_id}/").json()["amount_cents"] == 0


@pytest.mark.parametrize("name", ["x", "00000000", "callbacks"])
def test_what_is_no_order_id_is_404_or_not_allowed(name: str) -> None:
    assert client_of(uuid7()).get(f"/api/payments/{name}/").status_code in (404, 405)
