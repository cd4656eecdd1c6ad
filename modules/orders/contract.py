"""Answers contracts/orders.py."""

from uuid import UUID

from contracts.orders import Order, OrderFact, OrderFacts, Orders, UnknownOrder
from modules.orders import selectors

MOST_FACTS = 1000
MOST_ORDERS = 200


class OrdersImplementation:
    def order(self, *, order_id: UUID) -> Order:
        found = selectors.order_get(order_id=order_id)
        if found is None:
            raise UnknownOrder(order_id)
        return found

    def orders_of(self, *, customer_id: UUID, limit: int = 50) -> tuple[Order, ...]:
        return selectors.order_list(customer_id=customer_id, limit=min(max(limit, 0), MOST_ORDERS))

    def facts(self, *, after: UUID | None = None, limit: int = 500) -> OrderFacts:
        return selectors.order_facts(after=after, limit=min(max(limit, 1), MOST_FACTS))

    def fact(self, *, order_id: UUID) -> OrderFact | None:
        return selectors.order_fact(order_id=order_id)


IMPLEMENTATION: Orders = OrdersImplementation()
