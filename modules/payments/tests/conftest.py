from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from contracts.inventory import StockReserved
from contracts.orders import OrderCancelled, OrderPlaced, PlacedLine
from contracts.runtime.models import OutboxEvent
from contracts.runtime.testing import tell
from modules.payments import sandbox
from modules.payments.models import Payment, SandboxCharge

AMOUNT = 2248


@pytest.fixture(autouse=True)
def quick_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "ANSWER_WITHIN_S", 0.01)


def placed(order_id: UUID, *, card: str = "tok_approve", customer_id: UUID | None = None) -> None:
    tell(
        "payments.expect",
        OrderPlaced(
            order_id=order_id,
            customer_id=customer_id or uuid7(),
            lines=(PlacedLine(sku="A-1", quantity=2),),
            total_cents=AMOUNT,
            currency="EUR",
            card=card,
        ),
    )


def stock_reserved(order_id: UUID) -> None:
    tell("payments.charge", StockReserved(order_id=order_id))


def cancelled(order_id: UUID) -> None:
    tell("payments.void", OrderCancelled(order_id=order_id, reason="expired"))


def charging(*, card: str = "tok_approve") -> Payment:
    """A payment that the provider is to be asked for."""
    order_id = uuid7()
    placed(order_id, card=card)
    stock_reserved(order_id)
    return of(order_id)


def of(order_id: UUID) -> Payment:
    return Payment.objects.get(order_id=order_id)


def books(payment: Payment) -> Any:
    """What the sandbox company has in its books, None when it was never asked."""
    return SandboxCharge.objects.filter(key=payment.id).first()


def published(order_id: UUID) -> list[str]:
    """Short names of the events that payments published of this order, in order."""
    rows = OutboxEvent.objects.using("payments").filter(key=str(order_id)).order_by("seq")
    return [row.type.split(".")[1] for row in rows]
