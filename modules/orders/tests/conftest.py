from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from contracts.inventory import Inventory, Line, Quote, QuotedLine, UnknownProduct
from contracts.runtime import bind, calls
from contracts.runtime.identity import token_for
from contracts.runtime.models import OutboxEvent
from contracts.users import Customer, Identity, UnknownCustomer, Users

PRICES = {"A-1": 999, "B-2": 250, 'Ü "3"/x': 1}

Place = Callable[..., Any]


class Shelf:
    """Inventory with three products."""

    def quote(self, *, lines: tuple[Line, ...]) -> Quote:
        for line in lines:
            if line.sku not in PRICES:
                raise UnknownProduct(line.sku)
        quoted = tuple(
            QuotedLine(
                sku=line.sku, name=f"Product {line.sku}", quantity=line.quantity, unit_price_cents=PRICES[line.sku]
            )
            for line in lines
        )
        total = sum(line.quantity * line.unit_price_cents for line in quoted)
        return Quote(lines=quoted, total_cents=total, currency="EUR")


class Addresses:
    """Users of whom one is unknown."""

    unknown = UUID(int=0)

    def customer(self, *, customer_id: UUID) -> Customer:
        if customer_id == self.unknown:
            raise UnknownCustomer(customer_id)
        return Customer(id=customer_id, email="ada@shop.example", name="Ada", address="1 Mill Lane, Bath")


@pytest.fixture(autouse=True)
def neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_implementations", dict(calls._implementations))
    bind(Inventory, Shelf())
    bind(Users, Addresses())


def client_of(customer_id: UUID, role: Any = "customer") -> APIClient:
    """A client signed in as this customer."""
    client = APIClient()
    identity = Identity(id=customer_id, email="ada@shop.example", name="Ada", role=role)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_for(identity)}")
    return client


@pytest.fixture
def customer_id() -> UUID:
    return uuid7()


@pytest.fixture
def client(customer_id: UUID) -> APIClient:
    return client_of(customer_id)


BASKET = {"lines": [{"sku": "A-1", "quantity": 2}, {"sku": "B-2", "quantity": 1}], "card": "tok_approve"}


@pytest.fixture
def place(client: APIClient) -> Place:
    """Posts an order; a new key each time, unless one is given."""

    def post(body: object = BASKET, *, key: str | None = None) -> Any:
        return client.post("/api/orders/", body, format="json", headers={"Idempotency-Key": key or str(uuid7())})

    return post


def published(order_id: object) -> list[str]:
    """Types of the events that orders published of this order, in order."""
    rows = OutboxEvent.objects.using("orders").filter(key=str(order_id)).order_by("seq")
    return [row.type for row in rows]
