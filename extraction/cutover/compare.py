"""A table on two sides, compared by hashes that the servers compute; what differs is found by narrowing."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import sql

from extraction.queries import Queries

queries = Queries(Path(__file__).with_name("verify.sql"))

MOST_DIFFERENCES = 20
BITS = 12
"""Of the hash of the key, by which the rows are divided at each step."""
LEVELS = 5
FEW_ROWS = 10_000
"""So many hashes may come to the client."""

Fetch = Callable[[sql.Composed], list[tuple[Any, ...]]]
"""Runs a query on one side, in its snapshot."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs: its key, and the unit that alone has it, or the columns. No other values."""

    key: dict[str, str | None]
    only_in: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a table holds on either side. Differences: the first 20."""

    table: str
    rows_source: int
    rows_target: int
    differences: tuple[Difference, ...] = ()

    @property
    def is_equal(self) -> bool:
        return not self.differences and self.rows_source == self.rows_target


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the module, with its columns in the order of the source."""

    schema: str
    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]

    def query(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """A query of verify.sql about this table. It runs without parameters: names may hold a per cent sign."""
        return queries(
            name,
            table=sql.Identifier(self.schema, self.name),
            columns=_list(self.columns),
            key=_list(self.key),
            texts=sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column)) for column in self.columns),
            **parts,
        )


@dataclass(frozen=True, slots=True)
class Reader:
    """One side of the comparison."""

    unit: str
    fetch: Fetch = field(repr=False)


def compare(table: Table, source: Reader, target: Reader) -> TableResult:
    """The rows of both sides, counted and hashed; where they differ, the first that do."""
    ours, theirs = (reader.fetch(table.query("digest"))[0] for reader in (source, target))
    differences = () if ours == theirs else _differences(table, source, target)
    return TableResult(table.name, ours[0], theirs[0], differences)


def _differences(table: Table, source: Reader, target: Reader) -> tuple[Difference, ...]:
    known, known_mask = [0], 0
    for level in range(1, LEVELS + 1):
        mask = (1 << BITS * level) - 1
        ours, theirs = (
            {
                bucket: (count, digest)
                for bucket, count, digest in reader.fetch(
                    table.query("buckets", mask=sql.Literal(mask), **_in(known_mask, known))
                )
            }
            for reader in (source, target)
        )
        known = [bucket for bucket in sorted(ours.keys() | theirs.keys()) if ours.get(bucket) != theirs.get(bucket)]
        known, known_mask = known[:MOST_DIFFERENCES], mask
        if sum(side.get(bucket, (0,))[0] for side in (ours, theirs) for bucket in known) <= FEW_ROWS:
            break
    rows = [Counter(reader.fetch(table.query("rows", **_in(known_mask, known)))) for reader in (source, target)]
    differing = {key for key, _ in (rows[0] - rows[1]) | (rows[1] - rows[0])}
    keys = sorted(differing, key=lambda key: (len(key), key))[:MOST_DIFFERENCES]
    return _named(table, keys, source, target)


def _named(table: Table, keys: Sequence[str], source: Reader, target: Reader) -> tuple[Difference, ...]:
    query = table.query("cells", keys=sql.Literal(list(keys)))
    ours, theirs = (_by_key(reader.fetch(query)) for reader in (source, target))
    found = []
    for key in keys:
        here, there = ours.get(key, []), theirs.get(key, [])
        cells = (here or there)[0]
        columns = (
            tuple(
                column for column, mine, others in zip(table.columns, here[0], there[0], strict=True) if mine != others
            )
            if here and there
            else ()
        )
        only_in = "" if columns else source.unit if len(here) > len(there) else target.unit
        found.append(Difference({column: cells[table.columns.index(column)] for column in table.key}, only_in, columns))
    return tuple(found)


def _by_key(rows: list[tuple[Any, ...]]) -> dict[str, list[list[str | None]]]:
    found: dict[str, list[list[str | None]]] = {}
    for key, cells in rows:
        found.setdefault(key, []).append(cells)
    return found


def _in(mask: int, known: list[int]) -> dict[str, sql.Composable]:
    return {"known_mask": sql.Literal(mask), "known": sql.Literal(known)}


def _list(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
