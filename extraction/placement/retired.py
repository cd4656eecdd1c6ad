"""Whether a module left this database for good: its tables were put aside, and the placement table says so."""

from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from extraction.placement.database import Objects
from extraction.queries import Queries

_queries = Queries(Path(__file__).with_name("retired.sql"))

_MARK = "retired: "


def note(home: str) -> str:
    """The comment on the placement table of a module that left for good."""
    return f"{_MARK}its tables were put aside here, for it lives in {home}"


def is_retired(connection: Connection[Any], objects: Objects) -> bool:
    """Whether this database has that comment."""
    placement = sql.Identifier(objects.schema, objects.placement).as_string()
    row = connection.execute(_queries("remark", placement=sql.Literal(placement))).fetchone()
    return bool(row and row[0] and row[0].startswith(_MARK))
