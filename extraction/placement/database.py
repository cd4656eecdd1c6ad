"""A module's objects in its schema: `unit()`, the placement row, the heartbeat, the fence.

Every name starts with the module's, so that modules may share a schema. Statements run on a cursor of Django or a
connection of psycopg alike.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from psycopg import sql

from extraction.queries import Queries

_queries = Queries(Path(__file__).with_name("placement.sql"))

LOCK_CLASS = 0x4D56
"""First key of the advisory lock; the second is the oid of the placement table, which no two modules share."""
DDL_SETTING = "extraction.ddl"
"""The setting that lets a session change the tables of a module that is on its way, by the id of the migration."""


class Executes(Protocol):
    def execute(self, query: Any, params: Any = None, /) -> Any: ...


@dataclass(frozen=True)
class Objects:
    """The SQL of one module's placement and fence."""

    module: str
    schema: str
    only: tuple[str, ...] = ()
    """The module's tables, where others share its schema; none means all of it."""

    @property
    def placement(self) -> str:
        return f"{self.module}_placement"

    @property
    def heartbeat(self) -> str:
        return f"{self.module}_heartbeat"

    @property
    def fence(self) -> str:
        return f"{self.module}_fence"

    def query(self, name: str, **parts: sql.Composable) -> sql.Composed:
        """A query of placement.sql with this module's names."""
        return _queries(name, **self._names, **parts)

    @cached_property
    def members(self) -> sql.Composed:
        """The subquery of the oids of what moves. Goes into a query that gets `scope`."""
        return _queries("members", schema_name=sql.SQL("%(schema)s"), only=sql.SQL("%(only)s"))

    @cached_property
    def members_literally(self) -> sql.Composed:
        """The same for a query that runs without parameters."""
        return _queries("members", schema_name=sql.Literal(self.schema), only=sql.Literal(self._only))

    @property
    def scope(self) -> dict[str, Any]:
        """Parameters of `members`."""
        return {"schema": self.schema, "only": self._only}

    @property
    def _only(self) -> list[str]:
        return [*self.only, self.placement, self.heartbeat] if self.only else []

    def install(self, cursor: Executes, *, unit: str, home: str) -> None:
        """Make what `migrate` makes, unless it is there; the row says `home` only where it is new."""
        body = sql.Literal(sql.SQL("select {}::text").format(sql.Literal(unit)).as_string())
        cursor.execute(self.query("install", unit_body=body))
        cursor.execute(self.query("seed"), {"home": home})

    def under_way(self, cursor: Any) -> tuple[str, bool] | None:
        """The id of the migration that this database takes part in, and whether this session may change its tables;
        asked on a cursor of Django."""
        cursor.execute(self.query("under_way"))
        row = cursor.fetchone()
        if row is None:
            return None
        id = row[0].rpartition("_")[0][len(self.module) + 1 :]
        return id, row[1] == id

    def without(self) -> list[str]:
        """Of what moves, the tables that carry no rows of the module."""
        return [self.placement, self.heartbeat]

    @cached_property
    def _names(self) -> dict[str, sql.Composable]:
        placement = sql.Identifier(self.schema, self.placement).as_string()
        return {
            "schema": sql.Identifier(self.schema),
            "members": self.members,
            "module": sql.Literal(self.module),
            "placement": sql.Identifier(self.placement),
            "placement_name": sql.Literal(placement),
            "heartbeat": sql.Identifier(self.heartbeat),
            "unit": sql.Identifier(f"{self.module}_unit"),
            "guard": sql.Identifier(f"{self.module}_guard"),
            "fence": sql.Identifier(self.fence),
            "lock_class": sql.Literal(LOCK_CLASS),
        }
