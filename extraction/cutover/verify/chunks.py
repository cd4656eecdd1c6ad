"""Tables in parts: ranges of the key, so that both sides read the same rows wherever these stand on their disks."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from psycopg import Connection, sql

from extraction.cutover.verify.tables import WHOLE, Column, Table, names

CHUNK_BYTES = 8 * 2**20
MOST_CHUNKS = 4096
"""Of a table; larger ones have larger chunks."""
SCATTERED, FEW_CHUNKS = 0.5, 8
"""With a lower correlation each chunk of a table reads most of its pages, so it has few."""
PAGES_A_CHUNK = 16
"""So many are looked at for a border."""
PAGE_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a table with a key above `above`, up to `upto`; all of them together are the table, whatever comes."""

    table: str
    number: int
    above: tuple[str, ...] | None = None
    upto: tuple[str, ...] | None = None

    def within(self, table: Table) -> sql.Composable:
        """The condition of its rows."""
        limits = [
            sql.SQL("({}) {} ({})").format(names(table.key), sql.SQL(operator), _values(table.key, border))
            for operator, border in ((">", self.above), ("<=", self.upto))
            if border is not None
        ]
        return sql.SQL(" and ").join(limits) if limits else WHOLE


def chunks(table: Table, source: Connection[Any], *, seed: int, most_rows: float = math.inf) -> list[Chunk]:
    """The parts of this table, of about the same size, with about `most_rows` at most."""
    count = _count(table, most_rows)
    if count == 1:
        return [Chunk(table.name, 0)]
    percent = min(100.0, 100 * PAGES_A_CHUNK * count * PAGE_BYTES / max(table.heap_bytes, PAGE_BYTES))
    query = table.query(
        "borders",
        texts=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in table.key),
        percent=sql.Literal(percent),
        seed=sql.Literal(seed),
        chunks=sql.Literal(count),
    )
    borders = [tuple(border) for (border,) in source.execute(query)]
    edges = [None, *borders, None]
    return [Chunk(table.name, number, *edge) for number, edge in enumerate(pairwise(edges))]


def _count(table: Table, most_rows: float) -> int:
    if not table.has_ranges:
        return 1
    wanted = max(table.size_bytes / CHUNK_BYTES, table.rows / most_rows)
    return max(1, min(math.ceil(wanted), FEW_CHUNKS if table.correlation < SCATTERED else MOST_CHUNKS))


def _values(key: tuple[Column, ...], border: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(column.type))
        for column, value in zip(key, border, strict=True)
    )
