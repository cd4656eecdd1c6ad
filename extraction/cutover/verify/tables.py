"""The tables of both sides, and how their rows are hashed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from extraction.cutover.errors import Different
from extraction.queries import Queries
from extraction.replicate.pair import Pair

queries = Queries(Path(__file__).with_name("verify.sql"))

WHOLE = sql.SQL("true")
ROW_BYTES = 100
"""Of a row in a table without statistics."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    is_generated: bool
    is_plain: bool
    """What the type sends is the same for the same value everywhere; others are hashed as text."""
    ordering: str | None
    """How the type is sorted, where that can be said."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the module, with its columns in the order of the source."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[Column, ...]
    """All columns where it has none."""
    has_key: bool
    has_ranges: bool
    """Its key is sorted in the same way on both sides."""
    is_binary: bool
    """Both servers hash alike."""
    size_bytes: int
    heap_bytes: int
    rows: int
    """An estimate: from the statistics of the source, or from the size."""
    correlation: float
    """Of the order of the key and that on the disk; 1 where it is not known."""

    @property
    def definition(self) -> str:
        """The same as long as chunks that were found equal count."""
        return repr((self.schema, self.name, self.columns, self.key, self.has_key, self.is_binary))

    def query(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """A query of verify.sql about this table. It runs without parameters: names may hold a per cent sign."""
        return queries(
            name,
            **{
                "table": sql.Identifier(self.schema, self.name),
                "key": names(self.key),
                "key_texts": _texts(self.key),
                "texts": _texts(self.columns),
                "row": self._row(),
                "first": self._hash(sql.SQL("r"), 0),
                "second": self._hash(sql.SQL("r"), 1),
                "key_hash": self._hash(sql.SQL("convert_to(key, 'UTF8')"), 0),
                **parts,
            },
        )

    def _row(self) -> sql.Composed:
        if not self.is_binary:
            return queries("text_row", values=names(self.columns))
        values = (
            sql.Identifier(column.name) if column.is_plain else sql.SQL("{}::text").format(sql.Identifier(column.name))
            for column in self.columns
        )
        return queries("binary_row", values=sql.SQL(", ").join(values))

    def _hash(self, of: sql.Composable, seed: int) -> sql.Composed:
        return queries("binary_hash" if self.is_binary else "text_hash", of=of, seed=sql.Literal(seed))


def names(columns: Sequence[Column]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in columns)


def tables(pair: Pair, source: Connection[Any], target: Connection[Any], command: str) -> list[Table]:
    """Those of both sides, which must have the same columns. Raises Different."""
    query = queries(
        "tables",
        schema=sql.Literal(pair.schema),
        members=pair.objects.members_literally,
        without=sql.Literal(pair.objects.without()),
    )
    ours, theirs = ({row[0]: _described(row) for row in side.execute(query)} for side in (source, target))
    for name in sorted(ours.keys() | theirs.keys()):
        here, there = (sorted(side[name][0]) if name in side else [] for side in (ours, theirs))
        if here != there:
            raise Different(
                f"{pair.schema}.{name} has the columns {', '.join(here) or 'none'} in {pair.source.unit} and "
                f"{', '.join(there) or 'none'} in {pair.target.unit}; migrate both to the same state, "
                f"then run: {command}"
            )
    dialects = [side.execute(queries("dialect")).fetchone() for side in (source, target)]
    return [_table(pair, name, ours[name], theirs[name], dialects[0] == dialects[1]) for name in ours]


def _table(pair: Pair, name: str, ours: Any, theirs: Any, is_binary: bool) -> Table:
    (columns, key, size_bytes, heap_bytes, rows, correlation), (others, others_key, *_) = ours, theirs
    return Table(
        schema=pair.schema,
        name=name,
        columns=tuple(
            Column(**column | {"is_plain": column["is_plain"] and others[each]["is_plain"]})
            for each, column in columns.items()
        ),
        key=tuple(Column(**columns[each]) for each in key or columns),
        has_key=bool(key) and key == others_key,
        has_ranges=bool(key)
        and all(columns[each]["ordering"] and columns[each]["ordering"] == others[each]["ordering"] for each in key),
        is_binary=is_binary,
        size_bytes=size_bytes,
        heap_bytes=heap_bytes,
        rows=rows or heap_bytes // ROW_BYTES,
        correlation=1.0 if correlation is None else abs(correlation),
    )


def _described(row: tuple[Any, ...]) -> tuple[Any, ...]:
    _, columns, *rest = row
    return {column["name"]: column for column in columns}, *rest


def _texts(columns: Sequence[Column]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in columns)
