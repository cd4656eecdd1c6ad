"""A chunk on two sides, compared by hashes that the servers compute; of one that differs, the rows that do.

A row is hashed whole, as its types send it: a hash of hashes of columns, added up over the rows, would not see two rows
that have exchanged a value, and PostgreSQL's own hash takes the bigints 1 and 4294967296 for the same, and
the numerics 1 and -1. Two hashes of 64 bits are kept, one as a sum and one as an exclusive or: a chunk with other rows
is taken for equal with a probability of 2^-64 if only one of the hashes is as good as random, of 2^-128 if both are.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from psycopg import Connection, sql
from psycopg.pq import TransactionStatus

from extraction.cutover.verify.chunks import Chunk
from extraction.cutover.verify.tables import Table

MOST_DIFFERENCES = 20
ROWS_AT_A_TIME = 5_000
MOST_KEYS = 100_000
"""Of rows that differ: so many are kept, and repaired."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that differs: its key, and the unit that alone has it, or the columns. No other values."""

    key: dict[str, str | None]
    only_in: str = ""
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a table holds on either side. `differences` are the first 20 of `differing` rows."""

    table: str
    rows_source: int
    rows_target: int
    differences: tuple[Difference, ...] = ()
    differing: int = 0

    @property
    def is_equal(self) -> bool:
        return not self.differing and self.rows_source == self.rows_target


class Unlike(NamedTuple):
    """Rows of a key that are not the same: how many only the source has, and only the target."""

    key: str
    """As the servers write an array."""
    source: int
    target: int


@dataclass(frozen=True, slots=True)
class Part:
    """What a chunk holds on either side."""

    chunk: Chunk
    rows_source: int
    rows_target: int
    differences: tuple[Difference, ...] = ()
    differing: int = 0
    """Rows; one that was changed is one."""
    unlike: tuple[Unlike, ...] = ()
    """Rows that differ, as many as were to be kept."""

    @property
    def is_equal(self) -> bool:
        return not self.differing and self.rows_source == self.rows_target


@dataclass(frozen=True, slots=True)
class Both:
    """A connection to each side, in the snapshots; asked at the same time."""

    units: tuple[str, str]
    source: Connection[Any]
    target: Connection[Any]
    beside: Executor

    @property
    def is_in_snapshot(self) -> bool:
        """Not once the snapshots were let go."""
        return {each.info.transaction_status for each in (self.source, self.target)} == {TransactionStatus.INTRANS}

    def ask(self, query: sql.Composed) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        theirs = self.beside.submit(lambda: self.target.execute(query).fetchall())
        return self.source.execute(query).fetchall(), theirs.result()


def compare(table: Table, chunk: Chunk, both: Both, *, most_keys: int = MOST_KEYS) -> Part:
    """The rows of both sides, counted and hashed; where they differ, which: all are counted, some are kept."""
    within = chunk.within(table)
    (ours,), (theirs,) = both.ask(table.query("digest", within=within))
    if ours == theirs:
        return Part(chunk, ours[0], theirs[0])
    unlike, differing = list[Unlike](), 0

    def keys() -> Iterator[str]:
        nonlocal differing
        for each in _unlike(table, within, both):
            differing += max(each.source, each.target)
            if len(unlike) < most_keys:
                unlike.append(each)
            yield each.key

    first = heapq.nsmallest(MOST_DIFFERENCES, keys(), key=lambda key: (len(key), key))
    return Part(chunk, ours[0], theirs[0], _named(table, within, first, both), differing, tuple(unlike))


def together(table: Table, parts: Iterable[Part]) -> TableResult:
    """The table of these chunks."""
    found = sorted(parts, key=lambda part: part.chunk.number)
    return TableResult(
        table.name,
        sum(part.rows_source for part in found),
        sum(part.rows_target for part in found),
        tuple(difference for part in found for difference in part.differences)[:MOST_DIFFERENCES],
        sum(part.differing for part in found),
    )


def _unlike(table: Table, within: sql.Composable, both: Both) -> Iterator[Unlike]:
    query = table.query("rows", within=within)
    with both.source.cursor("ours") as source, both.target.cursor("theirs") as target:
        for cursor in (source, target):
            cursor.itersize = ROWS_AT_A_TIME
            cursor.execute(query)
        sides = (_numbered(0, source), _numbered(1, target))
        for _, rows in groupby(heapq.merge(*sides, key=itemgetter(0)), key=itemgetter(0)):
            yield from _unlike_of(rows)


def _numbered(number: int, rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, int, Any]]:
    return ((key_hash, number, row) for key_hash, *row in rows)


def _unlike_of(rows: Iterable[tuple[int, int, Any]]) -> Iterator[Unlike]:
    """Of rows whose keys have the same hash."""
    ours, theirs = Counter[tuple[str, int, int]](), Counter[tuple[str, int, int]]()
    for _, number, row in rows:
        (theirs if number else ours)[tuple(row)] += 1
    if ours == theirs:
        return
    here, there = Counter[str](), Counter[str]()
    for only, counted in ((ours - theirs, here), (theirs - ours, there)):
        for (key, *_), times in only.items():
            counted[key] += times
    for key in here | there:
        yield Unlike(key, here[key], there[key])


def _named(table: Table, within: sql.Composable, keys: Sequence[str], both: Both) -> tuple[Difference, ...]:
    ours, theirs = (
        by_key(rows) for rows in both.ask(table.query("cells", within=within, keys=sql.Literal(list(keys))))
    )
    columns = [column.name for column in table.columns]
    found = []
    for key in keys:
        here, there = ours.get(key, []), theirs.get(key, [])
        cells = (here or there)[0]
        pairs = zip(columns, here[0], there[0], strict=True) if here and there else ()
        differing = tuple(column for column, mine, others in pairs if mine != others)
        only_in = "" if differing else both.units[0] if len(here) > len(there) else both.units[1]
        found.append(
            Difference({column.name: cells[columns.index(column.name)] for column in table.key}, only_in, differing)
        )
    return tuple(found)


def by_key(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[list[str | None]]]:
    found: dict[str, list[list[str | None]]] = {}
    for key, cells in rows:
        found.setdefault(key, []).append(cells)
    return found
