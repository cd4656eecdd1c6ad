"""The basket: what a visitor wants, kept in the session until it is ordered."""

from django.contrib.sessions.backends.base import SessionBase
from uuid_utils.compat import uuid7

from contracts.inventory import Inventory, Line, Quote, UnknownProduct
from contracts.runtime import use

MOST_PIECES = 99
"""Pieces of one product."""
MOST_LINES = 50
"""Different products."""
_BASKET, _KEY = "basket", "checkout_key"


class BasketFull(Exception):
    """The basket already holds as many different products as one order can."""


class Basket:
    """Quantities by sku, in the order in which they were put in."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session

    def lines(self) -> tuple[Line, ...]:
        return tuple(Line(sku=sku, quantity=quantity) for sku, quantity in self._quantities().items())

    def quantity(self, sku: str) -> int:
        return self._quantities().get(sku, 0)

    def put(self, *, sku: str, quantity: int) -> None:
        """Hold this many pieces; 0 takes the product out. Raises BasketFull."""
        quantities = self._quantities()
        if quantity <= 0:
            quantities.pop(sku, None)
        elif sku not in quantities and len(quantities) >= MOST_LINES:
            raise BasketFull
        else:
            quantities[sku] = quantity
        self._keep(quantities)

    def empty(self) -> None:
        self._keep({})

    def idempotency_key(self) -> str:
        """One key for one content, so that a second click, a reload or a second tab places the same order."""
        key: str = self._session.setdefault(_KEY, str(uuid7()))
        return key

    def _quantities(self) -> dict[str, int]:
        return dict(self._session.get(_BASKET, {}))

    def _keep(self, quantities: dict[str, int]) -> None:
        if quantities == self._quantities():
            return
        self._session[_BASKET] = quantities
        self._session.pop(_KEY, None)


def basket_price(basket: Basket) -> tuple[Quote | None, list[str]]:
    """Today's prices, None for an empty basket, and the skus taken out because they are no longer on sale.

    Raises Unavailable.
    """
    gone: list[str] = []
    while lines := basket.lines():
        try:
            return use(Inventory).quote(lines=lines), gone
        except UnknownProduct as error:
            if not basket.quantity(error.sku):
                raise
            basket.put(sku=error.sku, quantity=0)
            gone.append(error.sku)
    return None, gone
