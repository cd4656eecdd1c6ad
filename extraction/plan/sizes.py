"""What moves with a module, and how much of it there is."""

import time
from dataclasses import dataclass

import psycopg
from psycopg import sql

from extraction.plan.errors import Unknown
from extraction.plan.source import Source

COUNTED_BELOW_BYTES = 64 * 2**20
"""Rows of a table up to this size are counted; of a larger one they are what ANALYZE estimated."""
COUNTING_S = 10.0
"""For all tables together, the smallest first; the rest show what ANALYZE estimated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table with rows of its own: a plain one, or a partition."""

    schema: str
    name: str
    is_partition: bool
    rows: int
    """-1 where nobody knows: not analyzed yet."""
    is_counted: bool
    heap_bytes: int
    index_bytes: int
    toast_bytes: int

    @property
    def bytes(self) -> int:
        return self.heap_bytes + self.index_bytes + self.toast_bytes

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    tables: tuple[Table, ...]
    """The largest first."""
    partitioned: tuple[str, ...]
    """Tables whose rows are in partitions."""
    sequences: tuple[str, ...]

    @property
    def rows(self) -> int:
        return sum(max(0, table.rows) for table in self.tables)

    @property
    def bytes(self) -> int:
        return sum(table.bytes for table in self.tables)

    @property
    def data_bytes(self) -> int:
        """Without indexes: what a copy reads."""
        return sum(table.heap_bytes + table.toast_bytes for table in self.tables)


def moves_of(source: Source) -> Moves:
    """Ask the catalogs. Raises Unknown."""
    found = source.all("tables")
    partitioned = [name for _, _, name, kind, *_ in found if kind == "p"]
    found = [row for row in found if row[3] != "p"]
    counted = _counted(source, [(row[6], sql.Identifier(row[1], row[2])) for row in found])
    tables = []
    for _, schema, name, _, is_partition, rows, heap, indexes, toast in found:
        known = counted.get(sql.Identifier(schema, name).as_string())
        tables.append(
            Table(
                schema=schema,
                name=name,
                is_partition=is_partition,
                rows=rows if known is None else known,
                is_counted=known is not None,
                heap_bytes=heap,
                index_bytes=indexes,
                toast_bytes=toast,
            )
        )
    if not tables:
        module = source.module
        raise Unknown(
            f"schema {module.schema} of {source.connection.info.dbname} has no table of {module.name}; run: "
            f"manage.py migrate --database {module.alias}"
        )
    return Moves(
        tables=tuple(tables),
        partitioned=tuple(partitioned),
        sequences=tuple(name for (name,) in source.all("sequences")),
    )


def _counted(source: Source, tables: list[tuple[int, sql.Identifier]]) -> dict[str, int]:
    """By name, as far as the time allows."""
    end = time.monotonic() + COUNTING_S
    counted = {}
    for heap_bytes, table in sorted(tables, key=lambda each: each[0]):
        left_ms = int((end - time.monotonic()) * 1000)
        if heap_bytes > COUNTED_BELOW_BYTES or left_ms <= 0:
            break
        try:
            counted[table.as_string()] = source.count(table, within_ms=left_ms)
        except Unknown as error:
            if isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
                raise
    return counted
