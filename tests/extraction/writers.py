"""Eight hostile writers that know nothing of a switch but what the fence says."""

import json
import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import Connection

from extraction.cutover.verify import verify
from extraction.replicate.pair import Pair
from tests.extraction.conftest import as_owner, connect

KINDS = (
    "product first",
    "stock first",
    "for update",
    "repeatable read",
    "autocommit",
    "serializable",
    "hot row",
    "partition",
)
TAKEN = "select 40 * 1000000 - sum(on_hand) from inventory.stock"
WRITTEN = "select name from inventory.product where name like 'w%'"
TOOK = "select count(*) from inventory.product where name like 'w%' and name not like 'w4-%'"


@dataclass
class Writers:
    """Threads that write until the end of the `with`, and follow the home as the fence's refusals name it."""

    pair: Pair
    acknowledged: list[str] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Writers":
        with as_owner(self.pair.source) as owner:
            owner.execute("update inventory.stock set on_hand = 1000000")
        self._threads = [threading.Thread(target=self._write, args=item, daemon=True) for item in enumerate(KINDS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Both sides are equal, and nothing is lost, doubled or half done. Raises AssertionError."""
        assert not self.errors
        compared = verify(self.pair)
        assert compared.equal, compared
        for side in (self.pair.source, self.pair.target):
            with connect(side) as admin:
                names = [name for (name,) in admin.execute(WRITTEN).fetchall()]
                assert len(set(names)) == len(names), f"doubled in {side.unit}"
                assert set(names) == set(self.acknowledged), f"lost in {side.unit}"
                assert admin.execute(TAKEN).fetchone() == admin.execute(TOOK).fetchone()

    def _write(self, number: int, kind: str) -> None:
        pick, home, row = random.Random(number), self.pair.source.unit, 0
        connections = {side.unit: as_owner(side) for side in (self.pair.source, self.pair.target)}
        while not self._ended.is_set():
            row += 1
            name = f"w{number}-{row}"
            while True:
                try:
                    _transaction(connections[home], kind, name, pick)
                    self.acknowledged.append(name)
                    break
                except psycopg.Error as error:
                    state = str(error.sqlstate)
                    if state == "MV001":
                        home = json.loads(error.diag.message_detail or "")["home"]
                    elif state not in ("MV002", "40001", "40P01"):
                        self.errors[f"{kind}: {error}"] = self.errors.get(f"{kind}: {error}", 0) + 1
                        break
                    self.refused[state] = self.refused.get(state, 0) + 1
                    time.sleep(0.005 if state == "MV002" else 0.0005)
            time.sleep(0.003)
        for connection in connections.values():
            with suppress(psycopg.Error):
                connection.close()


def _transaction(connection: Connection[Any], kind: str, name: str, pick: random.Random) -> None:
    product = "insert into inventory.product (name, price) values (%(name)s, 1)"
    stock = "update inventory.stock set on_hand = on_hand - 1 where warehouse = 'north' and product_id = %(product)s"
    given = {"name": name, "product": 1 if kind == "hot row" else pick.randint(1, 20)}
    if kind == "autocommit":
        connection.execute(product, given)
        return
    with connection.transaction():
        if kind in ("repeatable read", "serializable"):
            connection.execute(f"set transaction isolation level {kind}")
            connection.execute("select count(*) from inventory.ticket")
        if kind in ("for update", "hot row"):
            connection.execute(
                "select on_hand from inventory.stock where warehouse = 'north' and product_id = %(product)s for update",
                given,
            )
        if kind == "partition":
            connection.execute("insert into inventory.movement (at, quantity) values ('2026-01-01 00:00+00', 1)")
        for statement in (stock, product) if kind == "stock first" else (product, stock):
            connection.execute(statement, given)
