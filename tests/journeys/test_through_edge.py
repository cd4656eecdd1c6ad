"""A browser's order that a refusing unit names a host for: the edge goes there, and the unit there believes the browser
as much as the former one did."""

import secrets
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from django.conf import settings
from uuid_utils.compat import uuid7

from contracts.orders import Orders
from contracts.runtime import use
from contracts.runtime.identity import COOKIE, token_for
from extraction.route.model import Endpoint
from modules.users.models import User
from tests.journeys.test_moved import ann, orders_unit
from tests.journeys.test_storefront import product
from tests.route.conftest import Edge, edge, running
from tests.route.upstreams import moved_to

__all__ = ["ann", "edge", "orders_unit", "running"]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]


@pytest.fixture
def shop(edge: Edge, orders_unit: str) -> str:
    """Its URL, where every request of orders is refused by the monolith."""
    at = urlsplit(orders_unit)
    unit = Endpoint(at.hostname or "", at.port or 0)
    edge.envoy.change(lambda routing: routing.with_unit("orders", unit))
    edge.monolith.answer = moved_to("e0.orders.orders.internal")
    return f"http://127.0.0.1:{edge.envoy.port}"


def order(shop: str, user: User, key: str, **headers: str) -> httpx2.Response:
    csrf = secrets.token_hex(16)
    given: dict[str, Any] = {
        "cookie": f"{COOKIE}={token_for(user.identity)}; csrftoken={csrf}; sessionid=of-the-monolith",
        "x-csrftoken": csrf,
        "idempotency-key": key,
        **headers,
    }
    body = {"lines": [{"sku": "CUP-1", "quantity": 1}], "card": "tok_approve", "deliver_to": "1 Elm Street"}
    return httpx2.post(f"{shop}/api/orders/", json=body, headers=given, trust_env=False)


def test_an_order_of_this_sites_page_is_placed_once_under_its_key(shop: str, ann: User) -> None:
    product("CUP-1")
    key = str(uuid7())
    first, again = (order(shop, ann, key, origin=shop, referer=f"{shop}/checkout/") for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201), first.text
    assert first.json() == again.json()
    assert len(use(Orders).orders_of(customer_id=ann.id)) == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://e0.orders.orders.internal"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": "null"},
        {"x-csrftoken": "x" * 32},
        {"origin": "http://evil.example", "x-forwarded-host": "evil.example"},
    ],
)
def test_an_order_of_another_sites_page_is_not(shop: str, ann: User, forged: dict[str, str]) -> None:
    product("CUP-1")
    assert order(shop, ann, str(uuid7()), **forged).status_code == 403
    assert use(Orders).orders_of(customer_id=ann.id) == ()
