from uuid import UUID

from contracts.inventory import Catalogue, Holding, Holdings, Line, Product, Quote, StockDifference, StockFacts
from modules.inventory import selectors


class LocalInventory:
    """Answers contracts.inventory.Inventory."""

    def catalogue(self, *, search: str = "", category: str = "", after: str = "", limit: int = 24) -> Catalogue:
        return selectors.product_list(search=search, category=category, after=after, limit=limit)

    def categories(self) -> tuple[str, ...]:
        return selectors.category_list()

    def product(self, *, sku: str) -> Product:
        return selectors.product_get(sku=sku)

    def quote(self, *, lines: tuple[Line, ...]) -> Quote:
        return selectors.quote_get(lines=lines)

    def holdings(self, *, after: UUID | None = None, limit: int = 500) -> Holdings:
        return selectors.holding_list(after=after, limit=limit)

    def holding(self, *, order_id: UUID) -> Holding | None:
        return selectors.holding_get(order_id=order_id)

    def stock_facts(self, *, after: str = "", limit: int = 500) -> StockFacts:
        return selectors.stock_fact_list(after=after, limit=limit)

    def stock_differences(self) -> tuple[StockDifference, ...]:
        return selectors.stock_difference_list()


IMPLEMENTATION = LocalInventory()
