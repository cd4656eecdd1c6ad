"""What the shop holds after the load: seen over HTTP, and told by the orders module for the audit.

    python -m shop.tour.census --out var/report [--before]

runs in the shop's environment and asks by contract, so the module answers where it lives. Writes stock.jsonl, one line
for each product, and facts.jsonl, one for each order with its idempotency key; prints the version of the PostgreSQL
server. With --before it writes what was there before the load: stock_before.jsonl alone.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import msgspec

from contracts.inventory import StockFact
from contracts.orders import Moment, OrderFact
from shop.tour.ledger import SeenOrder

FACTS = "facts.jsonl"
ORDERS = "orders.jsonl"
STOCK, STOCK_BEFORE = "stock.jsonl", "stock_before.jsonl"
LOOK_AGAIN_AFTER_S = 1.0


class ShownOrder(SeenOrder, frozen=True, kw_only=True):
    """An order as the API answers it, as far as the tour reads it."""

    reason: str | None
    placed_at: datetime
    timeline: tuple[Moment, ...]

    @property
    def is_settled(self) -> bool:
        return self.state != "pending"

    @property
    def settled_at(self) -> datetime | None:
        """When it was confirmed or cancelled."""
        return next((moment.at for moment in self.timeline if moment.what == self.state), None)


class Visitor:
    """Looks at orders over HTTP as staff. Raises httpx2.HTTPError, RuntimeError for an unexpected status."""

    def __init__(self, url: str, *, email: str = "staff@shop.example", password: str = "demo") -> None:  # noqa: S107
        self._client = httpx2.Client(base_url=url, timeout=30.0, trust_env=False)
        answer = self._client.post("/api/users/login/", json={"email": email, "password": password})
        if answer.status_code != 200:
            raise RuntimeError(f"{email} cannot sign in: status {answer.status_code}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def order(self, order_id: UUID) -> ShownOrder | None:
        """The order with this id, None when the shop says that there is none."""
        answer = self._client.get(f"/api/orders/{order_id}/")
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise RuntimeError(f"order {order_id}: status {answer.status_code}")
        return msgspec.json.decode(answer.content, type=ShownOrder)

    def settled(
        self, order_ids: Iterable[UUID], *, wait_s: float, tell: Callable[[int, int], None]
    ) -> dict[UUID, ShownOrder | None]:
        """All these orders, looked at until each is settled or the wait is over; `tell(settled, of)` as it goes."""
        seen: dict[UUID, ShownOrder | None] = dict.fromkeys(order_ids)
        unsettled, end = list(seen), time.monotonic() + wait_s
        while True:
            for number, order_id in enumerate(unsettled):
                seen[order_id] = self.order(order_id)
                if number % 20 == 19:
                    tell(_settled_in(seen), len(seen))
            unsettled = [order_id for order_id, order in seen.items() if order is not None and not order.is_settled]
            tell(len(seen) - len(unsettled), len(seen))
            if not unsettled or time.monotonic() > end:
                return seen
            time.sleep(LOOK_AGAIN_AFTER_S)

    def accounts(self, passwords: Mapping[str, str]) -> dict[str, UUID | None]:
        """Who signs in, by email address and password; None who cannot."""
        return {email: self._account(email, password) for email, password in passwords.items()}

    def _account(self, email: str, password: str) -> UUID | None:
        answer = self._client.post("/api/users/login/", json={"email": email, "password": password})
        if answer.status_code == 401:
            return None
        if answer.status_code != 200:
            raise RuntimeError(f"{email} cannot sign in: status {answer.status_code}")
        return UUID(answer.json()["identity"]["id"])

    def close(self) -> None:
        self._client.close()


def facts_in(path: Path) -> list[OrderFact]:
    """The facts of a file that this module wrote."""
    decoder = msgspec.json.Decoder(OrderFact)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def stock_in(path: Path) -> dict[str, StockFact]:
    """Stock by sku, of a file that this module wrote."""
    decoder = msgspec.json.Decoder(StockFact)
    return {fact.sku: fact for fact in map(decoder.decode, path.read_bytes().splitlines())}


def write_orders(path: Path, seen: Iterable[ShownOrder | None]) -> None:
    """Keep what HTTP showed, one line for each order."""
    path.write_bytes(b"".join(msgspec.json.encode(order) + b"\n" for order in seen if order is not None))


def _settled_in(seen: dict[UUID, ShownOrder | None]) -> int:
    return sum(1 for order in seen.values() if order is not None and order.is_settled)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m shop.tour.census", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="directory for the files")
    parser.add_argument("--before", action="store_true", help="before the load: the stock alone")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    import django

    django.setup()
    if options.before:
        _write_stock(options.out / STOCK_BEFORE)
        return
    _write_facts(options.out / FACTS)
    _write_stock(options.out / STOCK)
    print(_server_version())  # noqa: T201


def _write_facts(path: Path) -> None:
    from contracts.orders import Orders
    from contracts.runtime import use

    _write_pages(path, use(Orders).facts, first=None)


def _write_stock(path: Path) -> None:
    from contracts.inventory import Inventory
    from contracts.runtime import use

    _write_pages(path, use(Inventory).stock_facts, first="")


def _write_pages(path: Path, ask: Callable[..., Any], *, first: Any) -> None:
    """The facts of every page of a contract, a line each; `first` is what asks for the first page."""
    after = first
    with path.open("wb") as file:
        while True:
            page = ask(after=after)
            file.writelines(msgspec.json.encode(fact) + b"\n" for fact in page.facts)
            if page.after is None:
                return
            after = page.after


def _server_version() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("show server_version")
        return str(cursor.fetchone()[0])


if __name__ == "__main__":
    main()
