"""What the module does: receive, reserve, sell and release pieces. All of it inside the transaction of the caller.

Locks are taken in one order, the reservation and then stock by sku, so that two orders never wait for each other.
"""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from django.db import connections
from django.db.models import F

from contracts.inventory import StockRejected, StockReleased, StockReserved, UnknownProduct
from contracts.runtime import publish, transaction_required
from modules.inventory.models import SKU, Product, Reservation, ReservationLine, Stock

State = Reservation.State


class NothingReserved(Exception):
    """An order was confirmed for which no stock is reserved."""


class AlreadySold(Exception):
    """An order was cancelled whose stock is sold."""


def product_add(*, product: Product) -> None:
    """Save a new product, with a stock of nothing."""
    transaction_required("inventory")
    product.save(force_insert=True)
    Stock.objects.create(product=product)


def stock_receive(*, sku: str, quantity: int) -> Stock:
    """Put so many pieces on the shelf. Raises UnknownProduct."""
    transaction_required("inventory")
    received = {"received": F("received") + quantity, "on_hand": F("on_hand") + quantity}
    if not SKU.fullmatch(sku) or not Stock.objects.filter(product_id=sku).update(**received):
        raise UnknownProduct(sku)
    return Stock.objects.get(product_id=sku)


def stock_reserve(*, order_id: UUID, quantities: Iterable[tuple[str, int]]) -> None:
    """Hold all that an order asks for, or nothing; publishes which. An order that is known already changes nothing."""
    transaction_required("inventory")
    if not _reservation_begin(order_id=order_id):
        return
    wanted = Counter[str]()
    for sku, quantity in quantities:
        wanted[sku] += quantity
    stock = _locked(wanted)
    for sku, quantity in sorted(wanted.items()):
        available = stock[sku].on_hand if sku in stock else 0
        if not 1 <= quantity <= available:
            Reservation.objects.filter(order_id=order_id).update(state=State.REJECTED)
            publish(StockRejected(order_id=order_id, sku=sku, available=available))
            return
    for sku, quantity in wanted.items():
        stock[sku].on_hand -= quantity
    Stock.objects.bulk_update(stock.values(), ["on_hand"])
    ReservationLine.objects.bulk_create(
        ReservationLine(reservation_id=order_id, product_id=sku, quantity=quantity) for sku, quantity in wanted.items()
    )
    publish(StockReserved(order_id=order_id))


def stock_sell(*, order_id: UUID) -> None:
    """The order is paid: what it holds leaves the shop. Raises NothingReserved."""
    transaction_required("inventory")
    orders = Reservation.objects.filter(order_id=order_id)
    if (
        not orders.filter(state=State.RESERVED).update(state=State.SOLD)
        and not orders.filter(state=State.SOLD).exists()
    ):
        raise NothingReserved(f"order {order_id} is confirmed and holds no stock; `manage.py audit` shows both sides")


def stock_release(*, order_id: UUID) -> None:
    """Put back what a cancelled order holds; if it asks for stock later, it gets none. Raises AlreadySold."""
    transaction_required("inventory")
    reservation, _ = Reservation.objects.select_for_update().get_or_create(
        order_id=order_id, defaults={"state": State.RELEASED}
    )
    if reservation.state in (State.RELEASED, State.REJECTED):
        return
    if reservation.state == State.SOLD:
        raise AlreadySold(f"order {order_id} is cancelled and its stock is sold; `manage.py audit` shows both sides")
    held = dict(reservation.lines.values_list("product_id", "quantity"))
    stock = _locked(held)
    for sku, quantity in held.items():
        stock[sku].on_hand += quantity
    Stock.objects.bulk_update(stock.values(), ["on_hand"])
    reservation.state = State.RELEASED
    reservation.save(update_fields=["state"])
    publish(StockReleased(order_id=order_id))


def _reservation_begin(*, order_id: UUID) -> bool:
    """Save the reservation of an order, unless there is one; waits for whoever is saving it now. False if there is.

    SQL, because get_or_create takes four statements, and bulk_create does not say whether it saved.
    """
    with connections["inventory"].cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_reservation (order_id, state) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [order_id, State.RESERVED.value],
        )
        return bool(cursor.rowcount)


def _locked(skus: Iterable[str]) -> dict[str, Stock]:
    locked = Stock.objects.select_for_update().filter(product_id__in=list(skus)).order_by("product_id")
    return {row.product_id: row for row in locked}
