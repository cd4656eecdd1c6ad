"""What is to be copied, in chunks, and what is done: a schema on the target. A chunk commits with its entry."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import Connection, sql

from extraction.replicate.copying.queries import chunks_of, coordinator_of, copying, ledger_of
from extraction.replicate.copying.snapshot import Snapshot
from extraction.replicate.pair import Pair


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a table: its pages from `first_page` to before `end_page`, or to the end. Its file proves the pages."""

    id: int
    table: str
    filenode: int
    first_page: int
    end_page: int | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How much is copied. `rows_expected` and `size_bytes` are the source's statistics; `size` is of its files."""

    tables: int
    tables_done: int
    rows_expected: int
    rows: int
    size_bytes: int
    size_done_bytes: int
    bytes: int
    """As text."""
    chunks_left: int
    at_work: tuple[str, ...]
    """Tables, with rows copied in the chunks that are under way."""


Planned = list[tuple[str, int, int, int | None, int, int]]
"""(table, filenode, first page, end page, size in bytes, rows expected), the largest tables first."""


def plan(pair: Pair, source: Connection[Any], *, chunk_bytes: int) -> Planned:
    """Of the tables as they are now. Made before the snapshot: a table that is rewritten later has another file."""
    found = source.execute(copying("plan", members=pair.objects.members), pair.objects.scope).fetchall()
    return [
        (table, filenode, first, end, size // parts, rows // parts)
        for table, filenode, size, pages, rows in sorted(found, key=lambda each: -each[2])
        for first, end, parts in _ranges(pages, size, chunk_bytes)
    ]


def has_ledger(pair: Pair, target: Connection[Any]) -> bool:
    """Whether a copy has begun here and was not taken away."""
    found = target.execute(copying("has_ledger", chunks=sql.Literal(chunks_of(pair)))).fetchone()
    return bool(found and found[0])


def open_ledger(pair: Pair, target: Connection[Any], snapshot: Snapshot, planned: Planned) -> None:
    """Begin it, all at once."""
    ledger = ledger_of(pair)
    with target.transaction(), target.cursor() as cursor:
        cursor.execute(copying("make_ledger", ledger=ledger))
        cursor.execute(copying("note_snapshot", ledger=ledger), asdict(snapshot))
        names = ("table", "filenode", "first_page", "end_page", "size_bytes", "rows_expected")
        cursor.executemany(
            copying("note_chunk", ledger=ledger),
            [{"id": number, **dict(zip(names, chunk, strict=True))} for number, chunk in enumerate(planned)],
        )


def snapshot_of(pair: Pair, target: Connection[Any]) -> Snapshot | None:
    """With which this copy began."""
    found = target.execute(copying("snapshot", ledger=ledger_of(pair))).fetchone()
    return Snapshot(*found) if found else None


def claim(pair: Pair, target: Connection[Any]) -> Chunk | None:
    """A chunk that nobody copies, held as long as this transaction."""
    found = target.execute(copying("claim", ledger=ledger_of(pair))).fetchone()
    return Chunk(*found) if found else None


def note_done(pair: Pair, target: Connection[Any], chunk: Chunk, *, rows: int, size_bytes: int) -> None:
    """In the transaction that wrote the rows."""
    given = {"id": chunk.id, "rows": rows, "bytes": size_bytes}
    if target.execute(copying("note_done", ledger=ledger_of(pair)), given).rowcount != 1:
        raise RuntimeError(f"chunk {chunk.id} of {chunk.table} is not in the ledger any more")


def leave_table(pair: Pair, target: Connection[Any], table: str) -> None:
    """Do not copy this table: the subscription will."""
    target.execute(copying("leave_table", ledger=ledger_of(pair)), {"table": table})


def tables_copied(pair: Pair, target: Connection[Any]) -> list[str]:
    return [table for (table,) in target.execute(copying("tables_copied", ledger=ledger_of(pair))).fetchall()]


def tally(pair: Pair, target: Connection[Any]) -> Tally:
    """As of now, with what is under way."""
    counted = target.execute(copying("tally", ledger=ledger_of(pair))).fetchone() or (0,) * 8
    tables, done, expected, rows, size, size_done, copied_bytes, left = counted
    at_work = target.execute(copying("at_work"), {"coordinator": coordinator_of(pair)}).fetchall()
    return Tally(
        tables=tables,
        tables_done=done,
        rows_expected=expected,
        rows=rows + sum(each[1] for each in at_work),
        size_bytes=size,
        size_done_bytes=size_done + min(sum(each[2] for each in at_work), max(size - size_done, 0)),
        bytes=copied_bytes + sum(each[2] for each in at_work),
        chunks_left=left,
        at_work=tuple(f"{name} ({count} rows)" for name, count, _ in at_work),
    )


def drop_ledger(pair: Pair, target: Connection[Any]) -> None:
    """With all that it says."""
    target.execute(copying("drop_ledger", ledger=ledger_of(pair)))


def _ranges(pages: int, size: int, chunk_bytes: int) -> Iterator[tuple[int, int | None, int]]:
    """(first page, end page, how many there are); the last has no end: pages may have been added since."""
    each = max(pages * chunk_bytes // size, 1) if size > chunk_bytes else max(pages, 1)
    firsts = list(range(0, max(pages, 1), each))
    for first in firsts:
        yield first, first + each if first != firsts[-1] else None, len(firsts)
