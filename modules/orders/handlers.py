"""Events that orders hears. Each runs once, in one transaction of orders, in whatever order they come."""

from contracts.inventory import StockRejected, StockReserved
from contracts.payments import PaymentCaptured, PaymentDeclined, PaymentRefunded
from contracts.runtime import handles
from modules.orders.service import order_cancel, order_confirm, order_note


@handles(StockReserved, name="orders.note_stock_reserved")
def note_stock_reserved(event: StockReserved) -> None:
    order_note(order_id=event.order_id, what="stock_reserved")


@handles(StockRejected, name="orders.cancel_out_of_stock")
def cancel_out_of_stock(event: StockRejected) -> None:
    order_cancel(order_id=event.order_id, reason="out_of_stock", detail=f"{event.sku}: {event.available} left")


@handles(PaymentCaptured, name="orders.confirm")
def confirm(event: PaymentCaptured) -> None:
    order_confirm(order_id=event.order_id, reference=event.reference)


@handles(PaymentDeclined, name="orders.cancel_declined")
def cancel_declined(event: PaymentDeclined) -> None:
    order_cancel(order_id=event.order_id, reason="declined", detail=event.reason)


@handles(PaymentRefunded, name="orders.note_refunded")
def note_refunded(event: PaymentRefunded) -> None:
    order_note(order_id=event.order_id, what="refunded")
