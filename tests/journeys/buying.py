"""Customers who buy, and the worker's part done here, so that a test says when."""

from typing import Any
from uuid import UUID

from rest_framework.test import APIClient
from uuid_utils.compat import uuid7

from contracts.runtime.identity import token_for
from modules.inventory.models import Product, Stock
from modules.payments import tasks
from modules.payments.models import Payment
from modules.users.models import User

PRICE_CENTS = 250


class Buyer:
    """A customer at the API."""

    def __init__(self) -> None:
        user = User(email=f"{uuid7().hex}@people.example", name="Ada", address="1 Mill Lane, Bath")
        user.set_unusable_password()
        user.save()
        self.id: UUID = user.id
        self.client = APIClient()
        self.client.credentials(HTTP_AUTHORIZATION=f"Bearer {token_for(user.identity)}")

    def place(self, card: str = "tok_approve", *, sku: str = "A-1", quantity: int = 2, key: str | None = None) -> Any:
        """The answer to a new order."""
        return self.client.post(
            "/api/orders/",
            {"lines": [{"sku": sku, "quantity": quantity}], "card": card},
            format="json",
            headers={"Idempotency-Key": key or str(uuid7())},
        )

    def buy(self, card: str = "tok_approve", **basket: Any) -> UUID:
        """The id of a new order."""
        answer = self.place(card, **basket)
        assert answer.status_code == 201, answer.content
        return UUID(answer.json()["id"])

    def look(self, order_id: UUID) -> Any:
        """The order as its customer sees it."""
        answer = self.client.get(f"/api/orders/{order_id}/")
        assert answer.status_code == 200
        return answer.json()

    def steps(self, order_id: UUID) -> list[str]:
        """What the timeline of the order says."""
        return [moment["what"] for moment in self.look(order_id)["timeline"]]

    def paid(self, order_id: UUID) -> str:
        """The state of the order's payment."""
        return str(self.client.get(f"/api/payments/{order_id}/").json()["state"])


def shelve(sku: str = "A-1", pieces: int = 100) -> None:
    """Put a product on sale."""
    product = Product.objects.create(sku=sku, name=f"Product {sku}", category="Tools", price_cents=PRICE_CENTS)
    Stock.objects.create(product=product, received=pieces, on_hand=pieces)


def on_hand(sku: str = "A-1") -> int:
    """Pieces left on the shelf."""
    return Stock.objects.get(product_id=sku).on_hand


def work() -> None:
    """Run the tasks of open payments once each, as a worker does that gets them."""
    for payment in Payment.objects.filter(due_at__isnull=False).order_by("order_id"):
        run = {"charging": tasks.charge, "voided": tasks.stop, "refund_due": tasks.refund}[payment.state]
        run(str(payment.order_id))
