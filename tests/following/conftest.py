"""A module of the test's database that moves: its tables fenced, its placement row handed over and brought back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from psycopg import Connection, sql

from extraction.placement import where
from extraction.placement.database import Objects

ELSEWHERE = "warehouse"
"""The unit that takes the module over."""


class Moving:
    """`inventory` during a migration, seen from the unit that it leaves."""

    def __init__(self, admin: Connection[Any], module: str) -> None:
        self.admin, self.module = admin, module
        self.objects = Objects(module, module)

    def fence(self) -> None:
        """As the role that owns the tables; what a migration does before anything else."""
        with connections[self.module].cursor() as cursor:
            cursor.execute(self.objects.query("fence_function"))
            for table in self.tables():
                cursor.execute(self.objects.query("fence_table", table=sql.Identifier(table)))

    def unfence(self) -> None:
        with connections[self.module].cursor() as cursor:
            for table in self.tables():
                cursor.execute(self.objects.query("unfence_table", table=sql.Identifier(table)))
            cursor.execute(self.objects.query("drop_fence_function"))

    def tables(self) -> list[str]:
        found = {**self.objects.scope, "without": self.objects.without()}
        return [row[0] for row in self.admin.execute(self.objects.query("tables"), found).fetchall()]

    def place(self) -> tuple[str, int]:
        row = self.admin.execute(self.objects.query("read")).fetchone()
        assert row is not None
        return row[0], row[1]

    def leave(self, to: str = ELSEWHERE) -> int:
        """Hand the module over. The epoch in which it lives elsewhere."""
        _, epoch = self.place()
        self.admin.execute(self.objects.query("hand_over"), {"to": to, "epoch": epoch})
        assert self.place() == (to, epoch + 1)
        return epoch + 1

    def arrive(self, home: str = settings.UNIT) -> int:
        """The row arrives from the other side, as the replication brings it. The epoch of the new home."""
        _, epoch = self.place()
        with self.admin.transaction():
            self.admin.execute("set local session_replication_role = replica")
            self.admin.execute(
                sql.SQL("update {} set home = %s, epoch = %s").format(
                    sql.Identifier(self.module, self.objects.placement)
                ),
                [home, epoch + 1],
            )
        assert self.place() == (home, epoch + 1)
        return epoch + 1

    @contextmanager
    def in_motion(self) -> Iterator["Switch"]:
        """A switch holds the lock until it is over or the block ends."""
        with psycopg.connect(self.admin.info.dsn, password=self.admin.info.password) as connection:
            connection.execute(self.objects.query("lock"))
            yield Switch(self, connection)


class Switch:
    def __init__(self, moving: Moving, connection: Connection[Any]) -> None:
        self.moving, self.connection = moving, connection

    def give_up(self) -> None:
        """Nothing has moved."""
        self.connection.rollback()

    def finish(self) -> None:
        """The module has moved."""
        _, epoch = self.moving.place()
        self.connection.execute(self.moving.objects.query("hand_over"), {"to": ELSEWHERE, "epoch": epoch})
        self.connection.commit()


def _moving(server_url: str, module: str) -> Iterator[Moving]:
    name = connections[module].settings_dict["NAME"]
    url = f"{server_url.rpartition('/')[0]}/{name}"
    with psycopg.connect(url, autocommit=True) as admin:
        moving = Moving(admin, module)
        moving.fence()
        where.forget()
        yield moving
        moving.arrive()
        moving.unfence()
        where.forget()


@pytest.fixture
def inventory(server_url: str, transactional_db: None) -> Iterator[Moving]:
    yield from _moving(server_url, "inventory")


@pytest.fixture
def orders(server_url: str, transactional_db: None) -> Iterator[Moving]:
    yield from _moving(server_url, "orders")
