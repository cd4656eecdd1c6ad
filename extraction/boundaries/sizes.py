"""The tables of a module in its database, and how much is in them."""

from dataclasses import dataclass
from pathlib import Path

from django.db import DatabaseError, InterfaceError, connections

from extraction import project
from extraction.queries import Queries

_queries = Queries(Path(__file__).with_name("sizes.sql"))


class Unread(Exception):
    """The database of a module was not read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of one table, with its partitions, indexes and toast."""

    table: str
    rows: int | None
    """An estimate of the last ANALYZE; None before the first."""
    bytes: int


def sizes_of(module: project.Module) -> tuple[Size, ...]:
    """Read as the role of the module's alias, past Django's cursor: a look is no statement of the module. Raises
    Unread."""
    if module.alias not in connections.settings:
        raise Unread(f"DATABASES has no alias {module.alias!r}, which EXTRACTION names; add it")
    connection = connections[module.alias]
    if connection.vendor != "postgresql":
        raise Unread(f"alias {module.alias!r} is no PostgreSQL ({connection.vendor})")
    only = list(project.tables(module.name))
    if only and not project.model_tables(module.name):
        return ()
    try:
        connection.ensure_connection()
        # Rolled back, for what was set would outlive a savepoint.
        with connection.wrap_database_errors, connection.connection.transaction(force_rollback=True):
            connection.connection.execute(_queries("careful"))
            found = connection.connection.execute(_queries("sizes"), {"schema": module.schema, "only": only}).fetchall()
    except (DatabaseError, InterfaceError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unread(f"the database does not answer: {reason}") from error
    if not found:
        raise Unread(
            f"schema {module.schema} has no table of {module.name} yet; run: manage.py migrate --database "
            f"{module.alias}"
        )
    return tuple(Size(table=table, rows=rows, bytes=size) for table, rows, size in found)


def size(count: float) -> str:
    """Bytes as a person reads them, in powers of 1024."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"
