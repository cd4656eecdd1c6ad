"""What customers and warehouse staff do, as stories: each step is a request that is asked and whose answer comes back.

A journey is a generator. It yields an `Ask`, gets the `Answer`, or sees `RequestFailed` raised where it asked; what it
does not catch ends the visit. `Unexpected` says that the answer is wrong though its status is right.
"""

import random
from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from uuid_utils.compat import uuid7

from shop.tour.ledger import Entry, Ledger, LedgerLine

CARDS = {"tok_approve": 80, "tok_decline": 10, "tok_late": 4, "tok_duplicate": 4, "tok_timeout": 2}
"""How many of a hundred orders are paid with each test card."""
BUYERS_PERCENT = 40
"""Visits that end in an order; the others look around."""
NEWCOMERS_PERCENT = 8
"""Buyers who sign in; the others come back with the token of their last visit."""
BARGAIN_HUNTERS_PERCENT = 6
"""Buyers who want something scarce, once they have seen some."""
REPEATERS_PERCENT = 8
"""Buyers who send the same order again under the same key, as a double click or a lost answer would."""
MOST_PIECES, SCARCE_BELOW = 3, 15
DELIVERIES_PERCENT = 12
"""Visits that are no customer's: a delivery arrives, and the warehouse receives its goods."""
MOST_GOODS, MOST_RECEIVED = 4, 60
"""Products in a delivery, and pieces of each."""
REGISTRATIONS_PERCENT = 4
"""Visits of somebody who is new and makes an account."""
NEW_PASSWORD = "tin lantern harbour"  # noqa: S105
REPEATED_RECEIPTS_PERCENT = 15
"""Receipts that are sent again under the same key."""
REPEAT_AFTER_S = (0.05, 0.5, 5.0, 20.0)
"""So long after the answer, so that some come when the module has moved in between."""
ASK_AGAIN_FOR_S = 75.0
"""A lost answer to an order or a receipt is asked for again, under the same key, for this long."""
FOLLOW_PAUSES_S = (0.4, 0.8, 1.5, *[3.0] * 25)
"""An order page looks again after these pauses, until the order is settled."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request of a visitor, `after_s` seconds after the answer before."""

    step: str
    path: str
    method: str = "GET"
    body: dict[str, Any] | None = None
    token: str = ""
    key: str = ""
    expect: tuple[int, ...] = (200,)
    after_s: float = 0.0
    is_again: bool = False
    """Asks for an answer that was lost: to be sent also when the load is over, or nobody knows what happened."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


class RequestFailed(Exception):
    """No answer, or one that the journey does not expect. `status` is None without an answer."""

    def __init__(self, problem: str, status: int | None) -> None:
        self.status = status
        super().__init__(problem)


class Unexpected(Exception):
    """The answer's status is right and its content is wrong."""


@dataclass
class Customer:
    email: str
    token: str = ""
    password: str = ""
    """Where it is not the town's."""


@dataclass
class Town:
    """Everything that visits share: who lives here, what they know of the shop, and the ledger."""

    rng: random.Random
    ledger: Ledger
    customers: list[Customer]
    password: str
    warehouse: Customer | None = None
    """The account of the staff who receive goods; without one, none are."""
    products: dict[str, str] = field(default_factory=dict)
    """Name by sku, as seen in the catalogue."""
    scarce: set[str] = field(default_factory=set)
    """Products that were seen nearly sold out: some orders for them find the shelf empty."""
    categories: set[str] = field(default_factory=set)
    cursors: set[str] = field(default_factory=set)
    signing_in: int = 0
    staff_signing_in: bool = False
    tally: Counter[str] = field(default_factory=Counter)

    def chance(self, percent: float) -> bool:
        return self.rng.random() * 100 < percent

    def think(self) -> float:
        """Seconds between two pages."""
        return self.rng.uniform(0.2, 1.0)


Journey = Generator[Ask, Answer, None]


def visit(town: Town) -> Journey:
    """Somebody comes by: a customer, a new one, or a delivery for the warehouse."""
    draw = town.rng.random() * 100
    if town.warehouse is not None and town.products and draw < DELIVERIES_PERCENT:
        yield from receive_delivery(town, town.warehouse)
    elif town.products and draw > 100 - REGISTRATIONS_PERCENT:
        yield from register(town)
    else:
        yield from shopping(town)


def shopping(town: Town) -> Journey:
    """A customer looks around and perhaps buys."""
    yield from look_around(town)
    if not town.products or not town.chance(BUYERS_PERCENT):
        return
    known = [customer for customer in town.customers if customer.token]
    if town.chance(NEWCOMERS_PERCENT) or not (known or town.signing_in):
        customer = town.rng.choice(town.customers)
        yield from sign_in(town, customer)
    elif known:
        customer = town.rng.choice(known)
    else:
        return  # as the load begins: a crowd of sign-ins at once is no ordinary day
    order_id = yield from place_order(town, customer)
    if order_id is not None:
        yield from follow_order(town, customer, order_id)
        if town.chance(30):
            yield from look_at_payment(town, customer, order_id)
        if town.chance(20):
            yield Ask(step="list_orders", path="/api/orders/", token=customer.token, after_s=town.think())
    if town.chance(20):
        yield from look_at_account(town, customer)


def receive_delivery(town: Town, staff: Customer) -> Journey:
    """Goods arrive; staff enter each product, and some twice. Scarce ones stay scarce."""
    plenty = sorted(town.products.keys() - town.scarce)
    if not staff.token:
        if town.staff_signing_in:
            return
        town.staff_signing_in = True
        try:
            yield from sign_in(town, staff)
        finally:
            town.staff_signing_in = False
    for sku in town.rng.sample(plenty, k=min(len(plenty), town.rng.randint(1, MOST_GOODS))):
        yield from receive_goods(town, staff, sku)


def receive_goods(town: Town, staff: Customer, sku: str) -> Journey:
    """So many pieces of a product are on the shelf now; a lost answer is asked for again under the same key."""
    line = LedgerLine(sku=sku, quantity=town.rng.randint(1, MOST_RECEIVED))
    key = str(uuid7())
    received = yield from _receipt(town, staff, line, key, step="receive_goods", after_s=town.think())
    if received is not None and town.chance(REPEATED_RECEIPTS_PERCENT):
        after_s = town.rng.choice(REPEAT_AFTER_S)
        again = yield from _receipt(town, staff, line, key, step="repeat_receipt", after_s=after_s)
        if again not in (received, None):
            raise Unexpected(f"key {key} received {line.quantity} of {sku} twice: {received} in all, then {again}")


def look_around(town: Town) -> Journey:
    """The catalogue, perhaps a search or a category, and a product or two."""
    page = yield Ask(step="catalogue", path="/api/inventory/")
    products = _remember(town, page)
    if town.cursors and town.chance(30):
        page = yield _listing(town, "catalogue", after=town.rng.choice(sorted(town.cursors)))
        products = _remember(town, page) or products
    if town.products and town.chance(30):
        word = town.rng.choice(town.rng.choice(sorted(town.products.values())).split())
        page = yield _listing(town, "search", search=word)
        products = _remember(town, page) or products
    if town.categories and town.chance(30):
        page = yield _listing(town, "category", category=town.rng.choice(sorted(town.categories)))
        products = _remember(town, page) or products
    for sku in town.rng.sample(products, k=min(len(products), town.rng.randint(1, 2))):
        product = yield Ask(step="product", path=f"/api/inventory/{quote(sku, safe='')}/", after_s=town.think())
        if product.body["sku"] != sku:
            raise Unexpected(f"asked for product {sku}, got {product.body['sku']}")


def sign_in(town: Town, customer: Customer) -> Journey:
    """A token from email address and password."""
    town.signing_in += 1
    try:
        answer = yield Ask(
            step="sign_in",
            method="POST",
            path="/api/users/login/",
            body={"email": customer.email, "password": customer.password or town.password},
            after_s=town.think(),
        )
    finally:
        town.signing_in -= 1
    customer.token = answer.body["token"]


def register(town: Town) -> Journey:
    """A new account, with which its owner signs in, looks at it, and is a customer from then on."""
    customer = Customer(f"new-{uuid7()}@shop.example", password=NEW_PASSWORD)
    ask = Ask(
        step="register",
        method="POST",
        path="/api/users/",
        body={
            "email": customer.email,
            "password": customer.password,
            "name": "New Customer",
            "address": "1 New Street",
        },
        key=str(uuid7()),
        expect=(201,),
        after_s=town.think(),
    )
    answer = yield from _until_answered(town, ask, customer=customer.email, lines=())
    if answer is None:
        return
    town.ledger.write(
        Entry(
            operation="register",
            idempotency_key=ask.key,
            customer=customer.email,
            lines=(),
            status=answer.status,
            account_id=UUID(answer.body["id"]),
            acknowledged=True,
        )
    )
    yield from sign_in(town, customer)
    yield from look_at_account(town, customer)
    town.customers.append(customer)


def place_order(town: Town, customer: Customer) -> Generator[Ask, Answer, UUID | None]:
    """One to three products; a lost answer is asked for again under the same key. None when no answer ever came."""
    skus = town.rng.sample(sorted(town.products), k=min(len(town.products), town.rng.randint(1, 3)))
    if town.scarce and town.chance(BARGAIN_HUNTERS_PERCENT):
        skus = [town.rng.choice(sorted(town.scarce))]
    lines = tuple(LedgerLine(sku=sku, quantity=town.rng.randint(1, MOST_PIECES)) for sku in skus)
    card = town.rng.choices(tuple(CARDS), weights=tuple(CARDS.values()))[0]
    key = str(uuid7())
    town.tally["placed"] += 1
    order_id = yield from _order(town, customer, lines, card, key, step="place_order", after_s=town.think())
    if order_id is not None and town.chance(REPEATERS_PERCENT):
        again = yield from _order(town, customer, lines, card, key, step="repeat_order", after_s=0.05)
        if again not in (order_id, None):
            raise Unexpected(f"key {key} gave order {order_id} and then {again}")
    return order_id


def follow_order(town: Town, customer: Customer, order_id: UUID) -> Journey:
    """The order page, until the order is confirmed or cancelled."""
    for pause_s in FOLLOW_PAUSES_S:
        answer = yield Ask(step="follow_order", path=f"/api/orders/{order_id}/", token=customer.token, after_s=pause_s)
        if answer.body["id"] != str(order_id):
            raise Unexpected(f"asked for order {order_id}, got {answer.body['id']}")
        if answer.body["state"] != "pending":
            town.tally[answer.body["state"]] += 1
            return


def look_at_payment(town: Town, customer: Customer, order_id: UUID) -> Journey:
    """What became of the money; an order that was cancelled early may have no payment."""
    path = f"/api/payments/{order_id}/"
    answer = yield Ask(step="payment", path=path, token=customer.token, expect=(200, 404), after_s=town.think())
    if answer.status == 200 and answer.body["order_id"] != str(order_id):
        raise Unexpected(f"asked for the payment of order {order_id}, got that of {answer.body['order_id']}")


def look_at_account(town: Town, customer: Customer) -> Journey:
    """Who the shop thinks that this is."""
    answer = yield Ask(step="account", path="/api/users/me/", token=customer.token, after_s=town.think())
    if answer.body["email"] != customer.email:
        raise Unexpected(f"asked for the account of {customer.email}, got that of {answer.body['email']}")


def _order(
    town: Town, customer: Customer, lines: tuple[LedgerLine, ...], card: str, key: str, *, step: str, after_s: float
) -> Generator[Ask, Answer, UUID | None]:
    ask = Ask(
        step=step,
        method="POST",
        path="/api/orders/",
        body={"lines": [{"sku": line.sku, "quantity": line.quantity} for line in lines], "card": card},
        token=customer.token,
        key=key,
        expect=(200, 201, 202),
        after_s=after_s,
    )
    answer = yield from _until_answered(town, ask, customer=customer.email, lines=lines, card=card)
    if answer is None:
        return None
    order_id = UUID(answer.body["id"])
    town.ledger.write(
        Entry(
            operation=step,  # type: ignore[arg-type]
            idempotency_key=key,
            customer=customer.email,
            lines=lines,
            card=card,
            status=answer.status,
            order_id=order_id,
            total_cents=answer.body["total_cents"],
            acknowledged=True,
        )
    )
    town.tally["acknowledged"] += step == "place_order"
    shown = {line["sku"]: line["quantity"] for line in answer.body["lines"]}
    if shown != {line.sku: line.quantity for line in lines}:
        raise Unexpected(f"order {order_id} answers with other lines than were ordered")
    return order_id


def _receipt(
    town: Town, staff: Customer, line: LedgerLine, key: str, *, step: str, after_s: float
) -> Generator[Ask, Answer, int | None]:
    ask = Ask(
        step=step,
        method="POST",
        path=f"/api/inventory/{quote(line.sku, safe='')}/receive/",
        body={"quantity": line.quantity},
        token=staff.token,
        key=key,
        after_s=after_s,
    )
    answer = yield from _until_answered(town, ask, customer=staff.email, lines=(line,))
    if answer is None:
        return None
    received = int(answer.body["received"])
    town.ledger.write(
        Entry(
            operation=step,  # type: ignore[arg-type]
            idempotency_key=key,
            customer=staff.email,
            lines=(line,),
            status=answer.status,
            received=received,
            acknowledged=True,
        )
    )
    town.tally["received"] += step == "receive_goods"
    if answer.body["sku"] != line.sku:
        raise Unexpected(f"received {line.sku}, the answer says {answer.body['sku']}")
    return received


def _until_answered(
    town: Town, ask: Ask, *, customer: str, lines: tuple[LedgerLine, ...], card: str = ""
) -> Generator[Ask, Answer, Answer | None]:
    """The answer, asked for again under the same key while it is lost; each lost one goes into the ledger."""
    waited_s, pause_s = 0.0, ask.after_s
    while waited_s < ASK_AGAIN_FOR_S:
        try:
            return (yield replace(ask, after_s=pause_s, is_again=waited_s > 0))
        except RequestFailed as failure:
            town.ledger.write(
                Entry(
                    operation=ask.step,  # type: ignore[arg-type]
                    idempotency_key=ask.key,
                    customer=customer,
                    lines=lines,
                    card=card,
                    status=failure.status,
                    acknowledged=False,
                )
            )
            if failure.status is not None and failure.status < 500:
                raise
            pause_s = min(4.0, max(0.25, 2 * pause_s))
            waited_s += pause_s
    return None


def _listing(town: Town, step: str, **query: str) -> Ask:
    return Ask(step=step, path=f"/api/inventory/?{urlencode(query)}", after_s=town.think())


def _remember(town: Town, page: Answer) -> list[str]:
    """Note what a catalogue page shows. Returns its skus."""
    products = page.body["products"]
    for product in products:
        town.products[product["sku"]] = product["name"]
        town.categories.add(product["category"])
        if product["available"] < SCARCE_BELOW:
            town.scarce.add(product["sku"])
    if page.body["after"]:
        town.cursors.add(page.body["after"])
    return [product["sku"] for product in products]
