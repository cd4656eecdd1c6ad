"""Events that payments hears. Each runs once, in one transaction of payments, in whatever order they come."""

from contracts.inventory import StockReserved
from contracts.orders import OrderCancelled, OrderPlaced
from contracts.runtime import handles
from modules.payments.service import payment_expect, payment_stock_reserved, payment_void


@handles(OrderPlaced, name="payments.expect")
def expect(event: OrderPlaced) -> None:
    payment_expect(
        order_id=event.order_id,
        customer_id=event.customer_id,
        amount_cents=event.total_cents,
        currency=event.currency,
        card=event.card,
    )


@handles(StockReserved, name="payments.charge")
def charge(event: StockReserved) -> None:
    payment_stock_reserved(order_id=event.order_id)


@handles(OrderCancelled, name="payments.void")
def void(event: OrderCancelled) -> None:
    payment_void(order_id=event.order_id)
