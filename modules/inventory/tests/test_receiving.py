"""Staff put received pieces on the shelf, once for each idempotency key."""

import threading
from typing import Any, Literal

import pytest
from django.db import connections
from django.test import Client
from uuid_utils.compat import uuid7

from contracts.runtime.identity import token_for
from contracts.users import Identity
from modules.inventory.models import Product, Stock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]


def test_received_pieces_go_on_the_shelf() -> None:
    answer = _receive({"quantity": 5})
    assert (answer.status_code, answer.json()) == (200, {"sku": "CUP-1", "received": 15, "on_hand": 15})


def test_the_same_key_again_gives_the_same_answer_and_no_second_effect() -> None:
    staff = _headers("staff")
    answers = [_receive({"quantity": 5}, headers=staff).json() for _ in range(3)]
    assert answers == [{"sku": "CUP-1", "received": 15, "on_hand": 15}] * 3
    assert Stock.objects.get(product_id="CUP-1").on_hand == 15


def test_an_answer_outlives_its_product() -> None:
    staff = _headers("staff")
    given = _receive({"quantity": 5}, headers=staff).json()
    Product.objects.filter(sku="CUP-1").delete()
    assert _receive({"quantity": 5}, headers=staff).json() == given


@pytest.mark.parametrize(("sku", "quantity"), [("CUP-1", 6), ("POT-1", 5)])
def test_the_same_key_with_another_request_is_refused(sku: str, quantity: int) -> None:
    staff = _headers("staff")
    _receive({"quantity": 5}, headers=staff)
    answer = _receive({"quantity": quantity}, sku=sku, headers=staff)
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert dict(Stock.objects.values_list("product_id", "on_hand")) == {"CUP-1": 15, "POT-1": 5, "LAMP-1": 1}


def test_keys_of_two_people_are_two_keys() -> None:
    for _ in range(2):
        _receive({"quantity": 5}, headers=_headers("staff", key="monday"))
    assert Stock.objects.get(product_id="CUP-1").on_hand == 20


@pytest.mark.django_db(transaction=True)
def test_the_same_request_many_times_at_once_has_one_effect() -> None:
    staff = _headers("staff")
    together = threading.Barrier(6)
    answers: list[tuple[int, Any]] = []

    def work() -> None:
        together.wait()
        answer = _receive({"quantity": 5}, headers=staff)
        answers.append((answer.status_code, answer.json()))
        connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(200, {"sku": "CUP-1", "received": 15, "on_hand": 15})] * 6
    assert Stock.objects.get(product_id="CUP-1").on_hand == 15


@pytest.mark.parametrize("role", ["customer", None])
def test_nobody_but_staff_receives(role: Literal["customer"] | None) -> None:
    answer = _receive({"quantity": 5}, headers=_headers(role) if role else {"idempotency-key": "a"})
    assert answer.status_code == (403 if role else 401)
    assert Stock.objects.get(product_id="CUP-1").on_hand == 10


@pytest.mark.parametrize("body", [{}, {"quantity": 0}, {"quantity": -1}, {"quantity": 1_000_001}, {"quantity": "few"}])
def test_a_malformed_quantity_is_named(body: dict[str, Any]) -> None:
    answer = _receive(body)
    assert (answer.status_code, list(answer.json())) == (400, ["quantity"])


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_missing_or_endless_key_is_named(key: str) -> None:
    answer = _receive({"quantity": 1}, headers=_headers("staff", key=key))
    assert (answer.status_code, list(answer.json())) == (400, ["idempotency_key"])


@pytest.mark.parametrize("sku", ["NONE", "a%00b"])
def test_an_unknown_product_is_not_received(sku: str) -> None:
    answer = _receive({"quantity": 1}, sku=sku)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_product")


def _headers(role: Literal["customer", "staff", "admin"], *, key: str | None = None) -> dict[str, str]:
    identity = Identity(id=uuid7(), email=f"{role}@example.com", name=role, role=role)
    return {"authorization": f"Bearer {token_for(identity)}", "idempotency-key": str(uuid7()) if key is None else key}


def _receive(body: object, *, sku: str = "CUP-1", headers: dict[str, str] | None = None) -> Any:
    headers = _headers("staff") if headers is None else headers
    return Client().post(f"/api/inventory/{sku}/receive/", body, content_type="application/json", headers=headers)
