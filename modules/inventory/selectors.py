from collections.abc import Iterable
from uuid import UUID

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from contracts.inventory import (
    Catalogue,
    Holding,
    Holdings,
    Line,
    Product,
    Quote,
    QuotedLine,
    StockDifference,
    StockFact,
    StockFacts,
    UnknownProduct,
)
from modules.inventory import models

CURRENCY = "EUR"
MOST_PRODUCTS = 100
MOST_HOLDINGS = 1000


def product_list(*, search: str = "", category: str = "", after: str = "", limit: int = 24) -> Catalogue:
    """A page of products on sale, in order of sku."""
    limit = min(max(limit, 1), MOST_PRODUCTS)
    if "\0" in search + category + after:  # PostgreSQL has no such text
        return Catalogue(products=(), after=None)
    found = _on_sale().order_by("product_id")
    if search:
        found = found.filter(Q(product__name__icontains=search) | Q(product__sku__icontains=search))
    if category:
        found = found.filter(product__category=category)
    if after:
        found = found.filter(product_id__gt=after)
    page = [_product(row) for row in found[: limit + 1]]
    more = len(page) > limit
    return Catalogue(products=tuple(page[:limit]), after=page[limit - 1].sku if more else None)


def category_list() -> tuple[str, ...]:
    """Categories that have a product on sale."""
    on_sale = models.Product.objects.filter(is_on_sale=True)
    return tuple(on_sale.order_by("category").values_list("category", flat=True).distinct())


def product_get(*, sku: str) -> Product:
    """A product on sale. Raises UnknownProduct."""
    row = _on_sale().filter(product_id=sku).first() if models.SKU.fullmatch(sku) else None
    if row is None:
        raise UnknownProduct(sku)
    return _product(row)


def quote_get(*, lines: Iterable[Line]) -> Quote:
    """Today's prices. Raises UnknownProduct."""
    lines = tuple(lines)
    skus = [line.sku for line in lines if models.SKU.fullmatch(line.sku)]
    known = {row.sku: row for row in models.Product.objects.filter(sku__in=skus, is_on_sale=True)}
    for line in lines:
        if line.sku not in known:
            raise UnknownProduct(line.sku)
    return Quote(
        lines=tuple(
            QuotedLine(
                sku=line.sku,
                name=known[line.sku].name,
                quantity=line.quantity,
                unit_price_cents=known[line.sku].price_cents,
            )
            for line in lines
        ),
        total_cents=sum(line.quantity * known[line.sku].price_cents for line in lines),
        currency=CURRENCY,
    )


def holding_list(*, after: UUID | None = None, limit: int = 500) -> Holdings:
    """A page of what orders hold, in order of order_id."""
    limit = min(max(limit, 1), MOST_HOLDINGS)
    found = models.Reservation.objects.order_by("order_id").prefetch_related("lines")
    if after is not None:
        found = found.filter(order_id__gt=after)
    page = [_holding(row) for row in found[: limit + 1]]
    more = len(page) > limit
    return Holdings(holdings=tuple(page[:limit]), after=page[limit - 1].order_id if more else None)


def holding_get(*, order_id: UUID) -> Holding | None:
    """What an order holds, None where nothing was ever asked for."""
    row = models.Reservation.objects.prefetch_related("lines").filter(order_id=order_id).first()
    return _holding(row) if row else None


def stock_fact_list(*, after: str = "", limit: int = 500) -> StockFacts:
    """A page of the stock of every product, in order of sku."""
    limit = min(max(limit, 1), MOST_HOLDINGS)
    page = list(models.Stock.objects.filter(product_id__gt=after).order_by("product_id")[: limit + 1])
    facts = tuple(StockFact(sku=row.product_id, received=row.received, on_hand=row.on_hand) for row in page[:limit])
    return StockFacts(facts=facts, after=facts[-1].sku if len(page) > limit else None)


def stock_difference_list() -> tuple[StockDifference, ...]:
    """Products where received - on_hand is not what orders hold; one statement, so one snapshot."""
    holds = Q(product__lines__reservation__state__in=models.Reservation.HOLDING)
    stock = models.Stock.objects.annotate(held=Coalesce(Sum("product__lines__quantity", filter=holds), 0))
    return tuple(
        StockDifference(sku=row.product_id, received=row.received, on_hand=row.on_hand, held=row.held)
        for row in stock.exclude(received=F("on_hand") + F("held")).order_by("product_id")
    )


def _on_sale() -> QuerySet[models.Stock]:
    return models.Stock.objects.filter(product__is_on_sale=True).select_related("product")


def _product(row: models.Stock) -> Product:
    return Product(
        sku=row.product.sku,
        name=row.product.name,
        description=row.product.description,
        category=row.product.category,
        price_cents=row.product.price_cents,
        available=row.on_hand,
    )


def _holding(row: models.Reservation) -> Holding:
    lines = sorted(row.lines.all(), key=lambda line: line.product_id) if row.state in row.HOLDING else []
    return Holding(
        order_id=row.order_id,
        state=row.state,  # type: ignore[arg-type]
        lines=tuple(Line(sku=line.product_id, quantity=line.quantity) for line in lines),
    )
