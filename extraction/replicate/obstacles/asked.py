"""A side that answers, and how obstacles ask it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from extraction.queries import Queries
from extraction.replicate.obstacles.kinds import Obstacle, obstacle
from extraction.replicate.pair import Pair, Side, Stream


@dataclass(frozen=True, slots=True)
class Asked:
    """One side of a pair, with a session there."""

    pair: Pair
    side: Side
    publishes: Stream
    subscribes: Stream
    connection: Connection[Any]

    @property
    def unit(self) -> str:
        return self.side.unit

    @property
    def is_source(self) -> bool:
        return self.side is self.pair.source

    def rows(self, queries: Queries, query: str, **given: object) -> list[Any]:
        """Of a query that may use `{members}`."""
        objects = self.pair.objects
        known = {
            "schema": self.pair.schema,
            "placement": objects.placement,
            "out": self.pair.out.name,
            "back": self.pair.back.name,
        }
        return self.connection.execute(
            queries(query, members=objects.members), {**known, **objects.scope, **given}
        ).fetchall()

    def one(self, queries: Queries, query: str, **given: object) -> Any:
        """The first row."""
        return self.rows(queries, query, **given)[0]

    def finds(self, code: str, what: str, mend: str) -> Obstacle:
        return obstacle(code, self.unit, what, mend)


Found = Iterator[Obstacle]


def beside(file: str) -> Queries:
    """The queries of the .sql file beside this module."""
    return Queries(Path(file).with_suffix(".sql"))


def say(statement: str, *names: str) -> str:
    """The statement, with names in place of its braces."""
    return sql.SQL(statement).format(*map(sql.Identifier, names)).as_string() + ";"
