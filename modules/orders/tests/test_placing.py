"""Placing an order, and looking at it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from contracts.runtime import Remote
from contracts.runtime.configuration import configuration
from contracts.runtime.models import IdempotentAnswer, OutboxEvent
from modules.orders.api.serializers import MOST_LINES, MOST_PIECES
from modules.orders.models import Order
from modules.orders.tests.conftest import BASKET, Addresses, Place, client_of, published

pytestmark = pytest.mark.django_db(databases="__all__")


def test_a_placed_order_is_pending_with_the_quoted_prices(place: Place, customer_id: UUID) -> None:
    answer = place()
    assert answer.status_code == 201
    order = answer.json()
    assert answer.headers["Location"] == f"/api/orders/{order['id']}/"
    assert (order["state"], order["reason"], order["customer_id"]) == ("pending", None, str(customer_id))
    assert (order["total_cents"], order["currency"]) == (2248, "EUR")
    assert order["lines"] == [
        {"sku": "A-1", "name": "Product A-1", "quantity": 2, "unit_price_cents": 999},
        {"sku": "B-2", "name": "Product B-2", "quantity": 1, "unit_price_cents": 250},
    ]
    assert [entry["what"] for entry in order["timeline"]] == ["placed"]


def test_the_answer_is_what_a_look_at_the_order_shows(place: Place, client: APIClient) -> None:
    order = place().json()
    assert client.get(f"/api/orders/{order['id']}/").json() == order


def test_placing_tells_the_others_what_was_ordered(place: Place, customer_id: UUID) -> None:
    order = place().json()
    event = OutboxEvent.objects.using("orders").get()
    assert event.type == "orders.order_placed.v1"
    assert event.data == {
        "type": "orders.order_placed.v1",
        "order_id": order["id"],
        "customer_id": str(customer_id),
        "lines": [{"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 1}],
        "total_cents": 2248,
        "currency": "EUR",
        "card": "tok_approve",
    }


def test_it_goes_to_the_customers_address_unless_another_is_given(place: Place) -> None:
    assert place().json()["deliver_to"] == "1 Mill Lane, Bath"
    assert place({**BASKET, "deliver_to": "2 Elm St"}).json()["deliver_to"] == "2 Elm St"


def test_a_sku_of_odd_characters_is_ordered_like_any_other(place: Place) -> None:
    assert place({**BASKET, "lines": [{"sku": 'Ü "3"/x', "quantity": 1}]}).status_code == 201


def test_the_same_key_again_gives_the_same_answer_and_one_order(place: Place) -> None:
    first, again = place(key="k1"), place(key="k1")
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert Order.objects.count() == 1
    assert published(first.json()["id"]) == ["orders.order_placed.v1"]


def test_the_same_key_with_another_body_is_refused(place: Place) -> None:
    place(key="k1")
    answer = place({**BASKET, "card": "tok_decline"}, key="k1")
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert Order.objects.count() == 1


def test_a_key_belongs_to_one_customer(place: Place) -> None:
    place(key="k1")
    other = client_of(uuid7()).post("/api/orders/", BASKET, format="json", headers={"Idempotency-Key": "k1"})
    assert other.status_code == 201
    assert Order.objects.count() == 2


def test_a_key_whose_answer_was_purged_does_not_place_a_second_order(place: Place) -> None:
    place(key="k1")
    IdempotentAnswer.objects.using("orders").all().delete()
    answer = place(key="k1")
    assert (answer.status_code, answer.json()["code"]) == (422, "key_reused")
    assert Order.objects.count() == 1


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_the_same_key_many_times_at_once_places_one_order(customer_id: UUID) -> None:
    def post(_: int) -> tuple[int, Any]:
        try:
            answer = client_of(customer_id).post(
                "/api/orders/", BASKET, format="json", headers={"Idempotency-Key": "at-once"}
            )
            return answer.status_code, answer.json()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(post, range(12)))
    assert Order.objects.count() == 1
    assert all(answer == answers[0] for answer in answers)
    assert answers[0][0] == 201


@pytest.mark.parametrize("key", ["", "k" * 201, "kö", "k\tk"])
def test_a_missing_or_odd_key_is_refused_by_the_name_of_the_header(client: APIClient, key: str) -> None:
    headers = {"Idempotency-Key": key} if key else {}
    answer = client.post("/api/orders/", BASKET, format="json", headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()) == ["Idempotency-Key"]
    assert not Order.objects.exists()


LINE = {"sku": "A-1", "quantity": 1}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "lines"),
        ({**BASKET, "lines": []}, "lines"),
        ({**BASKET, "lines": "A-1"}, "lines"),
        ({**BASKET, "lines": [LINE, LINE]}, "lines"),
        ({**BASKET, "lines": [{"sku": f"S-{n}", "quantity": 1} for n in range(MOST_LINES + 1)]}, "lines"),
        ({**BASKET, "lines": [{"sku": "A-1", "quantity": 0}]}, "lines"),
        ({**BASKET, "lines": [{"sku": "A-1", "quantity": -1}]}, "lines"),
        ({**BASKET, "lines": [{"sku": "A-1", "quantity": MOST_PIECES + 1}]}, "lines"),
        ({**BASKET, "lines": [{"sku": "A-1", "quantity": "many"}]}, "lines"),
        ({**BASKET, "lines": [{"sku": "A\x001", "quantity": 1}]}, "lines"),
        ({**BASKET, "lines": [{"quantity": 1}]}, "lines"),
        ({"lines": BASKET["lines"]}, "card"),
        ({**BASKET, "card": "4242424242424242"}, "card"),
        ({**BASKET, "card": None}, "card"),
        ({**BASKET, "deliver_to": "x" * 501}, "deliver_to"),
    ],
)
def test_a_malformed_body_is_refused_by_the_name_of_the_field(place: Place, body: object, field: str) -> None:
    answer = place(body)
    assert answer.status_code == 400
    assert field in answer.json()
    assert not Order.objects.exists()


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff", b""])
def test_a_body_that_is_no_object_is_refused(client: APIClient, body: bytes) -> None:
    answer = client.post(
        "/api/orders/", body, content_type="application/json", headers={"Idempotency-Key": str(uuid7())}
    )
    assert answer.status_code == 400


def test_an_unknown_product_is_named(place: Place) -> None:
    answer = place({**BASKET, "lines": [{"sku": "C-9", "quantity": 1}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_product")
    assert "C-9" in answer.json()["detail"]
    assert not Order.objects.exists()


def test_who_is_no_active_customer_cannot_order() -> None:
    answer = client_of(Addresses.unknown).post("/api/orders/", BASKET, format="json", headers={"Idempotency-Key": "k1"})
    assert (answer.status_code, answer.json()["code"]) == (403, "unknown_customer")


@pytest.fixture
def inventory_away(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes inventory an address where nobody listens."""

    def leave() -> None:
        away = Remote(unit=f"away-{uuid7()}", url="http://127.0.0.1:1")
        monkeypatch.setattr(configuration, "resolve", lambda module: away if module == "inventory" else None)

    return leave


def test_while_inventory_does_not_answer_nothing_is_placed_and_the_key_stays_free(
    place: Place, inventory_away: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    inventory_away()
    assert place(key="k1").status_code == 503
    assert not Order.objects.exists()
    monkeypatch.setattr(configuration, "resolve", lambda module: None)
    assert place(key="k1").status_code == 201


def test_a_repeated_key_is_answered_without_asking_anybody(place: Place, inventory_away: Callable[[], None]) -> None:
    first = place(key="k1")
    inventory_away()
    assert place(key="k1").json() == first.json()


def test_nobody_orders_without_signing_in() -> None:
    answer = APIClient().post("/api/orders/", BASKET, format="json", headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 401


def test_a_customer_sees_their_own_orders_page_by_page(place: Place, client: APIClient) -> None:
    ids = [place().json()["id"] for _ in range(5)]
    client_of(uuid7()).post("/api/orders/", BASKET, format="json", headers={"Idempotency-Key": "other"})
    first = client.get("/api/orders/", {"limit": 3}).json()
    assert [order["id"] for order in first["orders"]] == ids[:1:-1]
    second = client.get("/api/orders/", {"limit": 3, "before": first["before"]}).json()
    assert [order["id"] for order in second["orders"]] == ids[1::-1]
    assert second["before"] is None


@pytest.mark.parametrize("query", [{"limit": 0}, {"limit": 101}, {"limit": "x"}, {"before": "x"}])
def test_a_malformed_page_is_refused_by_the_name_of_the_parameter(client: APIClient, query: dict[str, Any]) -> None:
    answer = client.get("/api/orders/", query)
    assert answer.status_code == 400
    assert list(answer.json()) == list(query)


def test_another_customers_order_is_not_there_and_staff_sees_any(place: Place) -> None:
    path = f"/api/orders/{place().json()['id']}/"
    assert client_of(uuid7()).get(path).status_code == 404
    assert client_of(uuid7(), role="staff").get(path).status_code == 200
    assert APIClient().get(path).status_code == 401
