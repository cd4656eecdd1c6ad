"""The databases that the modules' aliases reach, each once, and who logs in where."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist
from psycopg import Connection
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from extraction import project
from extraction.boundaries.house import House, Member
from extraction.queries import Queries

_queries = Queries(Path(__file__).with_name("audit.sql"))

PATIENCE_S = 3
"""So long a server may take to answer at all."""
STATEMENT_S = 20


@dataclass(frozen=True, slots=True)
class Resident:
    """A module in a database, and the role with which its alias logs in."""

    module: str
    alias: str
    role: str
    schema: str
    is_shared: bool
    """Others' tables stand in the schema too; then `tables` are the module's."""
    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Database:
    """One that answered, in a read-only transaction."""

    connection: Connection[Any] = field(repr=False)
    residents: Sequence[Resident]
    neighbours: Sequence[Resident]
    """Of all databases of the server, this one too: their roles exist here."""

    @property
    def aliases(self) -> list[str]:
        return sorted({each.alias for each in self.residents})

    def all(self, query: str, **more: Any) -> list[Any]:
        """Rows of a query of audit.sql, which may use `residents` and `roles`. Raises psycopg.Error."""
        given = {
            "residents": Jsonb([asdict(each) for each in self.residents]),
            "roles": Jsonb([{"module": each.module, "role": each.role} for each in self.neighbours]),
            **more,
        }
        return self.connection.execute(_queries(query), given).fetchall()


@dataclass(slots=True)
class LeftOut:
    """What was not looked at, by reason: a server that is away is away for all of its aliases."""

    by_reason: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, reason: object, mend: str = "") -> None:
        lines = str(reason).strip().splitlines() or [type(reason).__name__]
        said = f"{lines[0]}; {mend}" if mend else lines[0]
        self.by_reason.setdefault(said, []).append(what)

    def __str__(self) -> str:
        return "; ".join(f"{', '.join(what)}: {reason}" for reason, what in self.by_reason.items())


@contextmanager
def databases_of(house: House, left_out: LeftOut) -> Iterator[list[Database]]:
    """Those that answer; the aliases of the others are left out."""
    servers: dict[tuple[str, int], str] = {}
    open_at: dict[tuple[str, int], Connection[Any]] = {}
    living: dict[tuple[str, int], list[tuple[Member, str]]] = {}
    with ExitStack() as stack:
        for alias in sorted({member.alias for member in house.members if member.alias}):
            try:
                connection = stack.enter_context(_connection(alias))
                found: Any = connection.execute(_queries("server")).fetchone()
            except psycopg.Error as error:
                left_out.add(alias, error, "start the server, or correct DATABASES")
                continue
            except _Unreadable as error:
                left_out.add(alias, error)
                continue
            key = (found.started, found.database)
            servers[key] = found.started
            open_at.setdefault(key, connection)
            here = living.setdefault(key, [])
            here += [(member, found.role) for member in house.members if member.alias == alias]
        residents = {key: _residents(here) for key, here in living.items()}
        yield [
            Database(
                connection,
                residents[key],
                [each for other in residents if servers[other] == servers[key] for each in residents[other]],
            )
            for key, connection in open_at.items()
        ]


def sharing_a_role(databases: Sequence[Database]) -> Iterator[tuple[str, str]]:
    """Modules behind one alias, and why what they may do to each other is not looked at: it is one role that may."""
    by_alias: dict[str, list[Resident]] = {}
    for database in databases:
        for each in database.residents:
            by_alias.setdefault(each.alias, []).append(each)
    for alias, residents in by_alias.items():
        if len(residents) > 1:
            yield (
                f"roles and privileges of {', '.join(each.module for each in residents)}",
                f"all log in by the alias {alias!r} as {residents[0].role}, and a database refuses a role nothing that "
                "is its own; give each an alias and a role",
            )


def same_role(database: Database) -> Iterator[tuple[Resident, Resident]]:
    """Of modules with an alias each that log in as one role."""
    for one in database.residents:
        for other in database.neighbours:
            if one.role == other.role and one.alias != other.alias and one.module < other.module:
                yield one, other


class _Unreadable(Exception):
    """An alias that leads to no PostgreSQL."""


@contextmanager
def _connection(alias: str) -> Iterator[Connection[Any]]:
    """Of its own: nothing of it is left in a session that the project uses, nor behind a pooler. Raises _Unreadable."""
    try:
        wrapper = connections[alias]
    except ConnectionDoesNotExist:
        raise _Unreadable("DATABASES has no such alias; add it, or correct EXTRACTION") from None
    if wrapper.vendor != "postgresql":
        raise _Unreadable(f"no PostgreSQL ({wrapper.vendor}); other catalogs are not read")
    try:
        given: dict[str, Any] = wrapper.get_connection_params()
    except ImproperlyConfigured as error:
        raise _Unreadable(error) from None
    ours = ("cursor_factory", "context", "prepare_threshold", "row_factory", "autocommit")
    parameters = {"connect_timeout": PATIENCE_S} | {key: value for key, value in given.items() if key not in ours}
    with psycopg.connect(**parameters, row_factory=namedtuple_row) as connection:
        connection.read_only = True
        connection.execute(_queries("careful"), {"timeout": f"{STATEMENT_S}s"})
        yield connection
        connection.rollback()


def _residents(here: Sequence[tuple[Member, str]]) -> list[Resident]:
    """`public` is never one module's alone: extensions and what is no module's stand there too."""
    sharing = Counter(member.schema for member, _ in here)
    found = []
    for member, role in here:
        is_shared = member.schema == "public" or sharing[member.schema] > 1
        tables = project.model_tables(member.name) if is_shared else ()
        found.append(Resident(member.name, member.alias, role, member.schema, is_shared, tables))
    return found
