"""The fence around every table of a side."""

from functools import partial
from typing import Any

from psycopg import Connection, Cursor, sql

from extraction.replicate.pair import Pair
from extraction.replicate.patience import patiently
from extraction.replicate.queries import replicate


def fence(pair: Pair, admin: Connection[Any], *, timeout_s: float) -> None:
    """Put the fence around every table of this side, parents and partitions alike. Raises Blocked."""
    objects = pair.objects
    owner = _owner_of_placement(pair, admin)

    def make_function() -> None:
        # As the owner of the placement row and not as the administrator: it runs with its owner's rights.
        admin.execute(replicate("become", role=sql.Identifier(owner)))
        admin.execute(objects.query("fence_function"))

    patiently(admin, make_function, of=objects, timeout_s=timeout_s)
    fenced = _names(admin.execute(objects.query("fenced"), {"schema": pair.schema, "fence": objects.fence}))
    for table in sorted(set(tables(pair, admin)) - set(fenced)):
        statement = objects.query("fence_table", table=sql.Identifier(table))
        patiently(admin, partial(admin.execute, statement), of=objects, timeout_s=timeout_s)


def unfence(pair: Pair, admin: Connection[Any], *, timeout_s: float) -> None:
    """Take the fence away, and its function. Raises Blocked."""
    objects = pair.objects
    carrying = admin.execute(replicate("carrying"), {"schema": pair.schema, "fence": objects.fence})
    for table in _names(carrying):
        statement = objects.query("unfence_table", table=sql.Identifier(table))
        patiently(admin, partial(admin.execute, statement), of=objects, timeout_s=timeout_s)
    statement = objects.query("drop_fence_function")
    patiently(admin, partial(admin.execute, statement), of=objects, timeout_s=timeout_s)


def tables(pair: Pair, admin: Connection[Any]) -> list[str]:
    """The module's tables, partitioned ones and their partitions among them."""
    given = {**pair.objects.scope, "without": pair.objects.without()}
    return _names(admin.execute(pair.objects.query("tables"), given))


def _names(found: Cursor[Any]) -> list[str]:
    return [name for (name,) in found.fetchall()]


def _owner_of_placement(pair: Pair, admin: Connection[Any]) -> str:
    found = admin.execute(replicate("tables", members=pair.objects.members), pair.objects.scope).fetchall()
    return {table: str(owner) for table, _, owner in found}[pair.objects.placement]
