from contracts.orders import OrderCancelled, OrderConfirmed, OrderPlaced
from contracts.runtime import handles
from modules.inventory import service


@handles(OrderPlaced, name="inventory.reserve_stock")
def reserve_stock(event: OrderPlaced) -> None:
    service.stock_reserve(order_id=event.order_id, quantities=[(line.sku, line.quantity) for line in event.lines])


@handles(OrderConfirmed, name="inventory.sell_stock")
def sell_stock(event: OrderConfirmed) -> None:
    service.stock_sell(order_id=event.order_id)


@handles(OrderCancelled, name="inventory.release_stock")
def release_stock(event: OrderCancelled) -> None:
    service.stock_release(order_id=event.order_id)
