from typing import Protocol

from django import template

from shop.storefront.artwork import artwork

register = template.Library()
register.simple_tag(artwork)


class Priced(Protocol):
    """A line of a quote or of an order."""

    @property
    def quantity(self) -> int: ...
    @property
    def unit_price_cents(self) -> int: ...


_SIGNS = {"EUR": "€", "USD": "$", "GBP": "£"}


@register.filter
def money(cents: int, currency: str = "EUR") -> str:
    """1234567 cents as €12,345.67."""
    return f"{_SIGNS.get(currency, currency + ' ')}{cents // 100:,}.{cents % 100:02d}"


@register.filter
def line_cents(line: Priced) -> int:
    """What the pieces of a line cost together."""
    return line.quantity * line.unit_price_cents
