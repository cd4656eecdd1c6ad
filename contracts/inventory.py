from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol
from uuid import UUID

import msgspec


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """So many pieces of one product."""

    sku: str
    quantity: int


class Product(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    name: str
    description: str
    category: str
    price_cents: int
    available: int


class Catalogue(msgspec.Struct, frozen=True, kw_only=True):
    """A page of products in order of sku; `after` asks for the next one, None at the end."""

    products: tuple[Product, ...]
    after: str | None


class QuotedLine(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    name: str
    quantity: int
    unit_price_cents: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    lines: tuple[QuotedLine, ...]
    total_cents: int
    currency: str


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """What an order holds of the stock: `reserved` until it is confirmed, then `sold`; `released` holds nothing."""

    order_id: UUID
    state: Literal["reserved", "sold", "released", "rejected"]
    lines: tuple[Line, ...]


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """A page of holdings in order of order_id; `after` asks for the next one, None at the end."""

    holdings: tuple[Holding, ...]
    after: UUID | None


class StockFact(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces of a product: all that were ever received, and those on the shelf."""

    sku: str
    received: int
    on_hand: int


class StockFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A page of stock in order of sku; `after` asks for the next one, None at the end."""

    facts: tuple[StockFact, ...]
    after: str | None


class StockDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A product whose count does not add up: received - on_hand should be what orders hold."""

    sku: str
    received: int
    on_hand: int
    held: int


@dataclass
class UnknownProduct(Exception):
    """No product on sale has this sku."""

    sku: str


class StockReserved(msgspec.Struct, frozen=True, kw_only=True, tag="inventory.stock_reserved.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID


class StockRejected(msgspec.Struct, frozen=True, kw_only=True, tag="inventory.stock_rejected.v1"):
    """Nothing was reserved: `sku` has fewer pieces than the order asks for."""

    KEY: ClassVar[str] = "order_id"

    order_id: UUID
    sku: str
    available: int


class StockReleased(msgspec.Struct, frozen=True, kw_only=True, tag="inventory.stock_released.v1"):
    KEY: ClassVar[str] = "order_id"

    order_id: UUID


class Inventory(Protocol):
    def catalogue(self, *, search: str = "", category: str = "", after: str = "", limit: int = 24) -> Catalogue:
        """Products on sale whose name or sku contains `search`; `limit` at most 100."""
        ...

    def categories(self) -> tuple[str, ...]:
        """Categories that have a product on sale, in alphabetical order."""
        ...

    def product(self, *, sku: str) -> Product:
        """Raises UnknownProduct."""
        ...

    def quote(self, *, lines: tuple[Line, ...]) -> Quote:
        """Today's prices for these lines; promises no stock. Raises UnknownProduct."""
        ...

    def holdings(self, *, after: UUID | None = None, limit: int = 500) -> Holdings:
        """What each order holds, for the audit."""
        ...

    def holding(self, *, order_id: UUID) -> Holding | None:
        """What this order holds, None where nothing was ever asked for."""
        ...

    def stock_facts(self, *, after: str = "", limit: int = 500) -> StockFacts:
        """What was received of each product and is on the shelf, on sale or not."""
        ...

    def stock_differences(self) -> tuple[StockDifference, ...]:
        """Products whose count does not add up, seen in one snapshot. Empty when all is well."""
        ...


CONTRACT = Inventory
READS = ("catalogue", "categories", "product", "quote", "holdings", "holding", "stock_facts", "stock_differences")
ERRORS = (UnknownProduct,)
PUBLISHES = (StockReserved, StockRejected, StockReleased)
HEARS = {
    "inventory.reserve_stock": "orders.order_placed.v1",
    "inventory.sell_stock": "orders.order_confirmed.v1",
    "inventory.release_stock": "orders.order_cancelled.v1",
}
