"""What stands in the way of joining the databases of a migration, each with the statement or setting that mends it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from psycopg import Connection, sql

from extraction.placement.database import NEVER_MOVED
from extraction.platform.database import LEAST_VERSION_FOR_EXTRACTION, connect
from extraction.queries import Queries
from extraction.replicate.pair import Pair, Side

_queries = Queries(Path(__file__).with_name("prechecks.sql"))

NEEDS = {
    "max_replication_slots": 2,
    "max_wal_senders": 2,
    "max_logical_replication_workers": 2,
    "max_active_replication_origins": 2,
}
"""Free on a server that sends one stream and receives one: each stream, and one table at a time that is copied."""

OTHER_PROCESSES = 8
"""Background workers that are none of replication: PostgreSQL's own number."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """`mend` is what to type, and where."""

    code: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; {self.mend}"


def obstacles(pair: Pair) -> list[Obstacle]:
    """All that stands in the way, none when the databases can be joined. Raises ServerUnreachable."""
    with ExitStack() as stack:
        admins = {side.unit: stack.enter_context(connect(side.url)) for side in (pair.source, pair.target)}
        found = [obstacle for unit, admin in admins.items() for obstacle in _of_role(unit, admin)]
        if found:  # what follows asks for what an older server or a lesser role does not know
            return found
        found += _of_servers(pair, admins)
        sides = ((pair.source, pair.out), (pair.target, pair.back))
        installed = [obstacle for side, _ in sides for obstacle in _of_installation(pair, side, admins[side.unit])]
        if installed:
            return found + installed
        return [*found, *_of_units(pair, admins), *_of_tables(pair, admins), *_of_rows(pair, admins[pair.target.unit])]


def unfit_tables(pair: Pair) -> list[Obstacle]:
    """What of it lies in the tables, which may have changed since. Raises ServerUnreachable."""
    with ExitStack() as stack:
        admins = {side.unit: stack.enter_context(connect(side.url)) for side in (pair.source, pair.target)}
        return [*_of_tables(pair, admins)]


def _of_role(unit: str, admin: Connection[Any]) -> Iterator[Obstacle]:
    (version,) = _one(admin, "version")
    if version < LEAST_VERSION_FOR_EXTRACTION:
        yield Obstacle(
            "version",
            f"{unit}: the server is PostgreSQL {version}, and a change would go round in circles",
            f"upgrade it to {LEAST_VERSION_FOR_EXTRACTION} or later",
        )
    role, is_superuser = _one(admin, "administrator")
    if not is_superuser:
        yield Obstacle(
            "administrator",
            f"{unit}: role {role} may not make replication roles, subscriptions in the name of another and origins",
            f"give the URL of a superuser, or run there: {_say('ALTER ROLE {} SUPERUSER', role)};",
        )


def _of_servers(pair: Pair, admins: dict[str, Connection[Any]]) -> Iterator[Obstacle]:
    servers = {unit: _Server(*_one(admin, "server")) for unit, admin in admins.items()}
    is_one = len({server.system for server in servers.values()}) == 1
    for side, stream in ((pair.source, pair.out), (pair.target, pair.back)):
        unit, server = side.unit, servers[side.unit]
        if server.wal_level != "logical":
            yield _setting("wal_level", unit, "wal_level", server.wal_level, "logical")
        if server.idle_slots not in (None, "0"):
            # A side that is seldom written would lose its slot while nobody looks.
            yield _setting("idle_slots", unit, "idle_replication_slot_timeout", str(server.idle_slots), "0")
        if _one(admins[unit], "is_joined", slot=stream.name)[0]:
            continue  # what it needs is taken already, by this very migration
        for (setting, need), free in zip(NEEDS.items(), server.free(), strict=True):
            needed = need * (2 if is_one else 1)
            if free < needed:
                name = _setting_of(admins[unit], setting)
                (now,) = admins[unit].execute(_queries("setting"), {"setting": name}).fetchone() or (0,)
                yield _setting(setting, unit, name, f"{now}, {free} free", str(int(now) + needed - free))
        if server.processes < server.replication_processes:
            enough = str(server.replication_processes + OTHER_PROCESSES)
            yield _setting("max_worker_processes", unit, "max_worker_processes", str(server.processes), enough)


def _of_installation(pair: Pair, side: Side, admin: Connection[Any]) -> Iterator[Obstacle]:
    objects = pair.objects
    names = {"schema": pair.schema, "unit": f"{pair.module}_unit", "placement": objects.placement}
    if not _one(admin, "is_installed", **names)[0]:
        yield Obstacle(
            "not_installed",
            f"{side.unit}: schema {pair.schema} has no {objects.placement}",
            f"run in {side.unit}: manage.py migrate",
        )


def _of_units(pair: Pair, admins: dict[str, Connection[Any]]) -> Iterator[Obstacle]:
    homes = set()
    for side in (pair.source, pair.target):
        own = admins[side.unit].execute(pair.objects.query("own_unit")).fetchone()
        row = admins[side.unit].execute(pair.objects.query("read")).fetchone()
        homes.add(row[0] if row else None)
        if own is None or own[0] != side.unit:
            says = own[0] if own else None
            yield Obstacle(
                "unit",
                f"{side.unit}: its database says that it is {says}'s, as a copied schema does",
                f'run in {side.unit}, with its own SHOP_UNIT or EXTRACTION["unit"]: manage.py migrate',
            )
    if len(homes) > 1:
        yield Obstacle(
            "homes",
            f"the two databases name different homes of {pair.module}: {' and '.join(sorted(map(str, homes)))}",
            f"make the one of {pair.target.unit} anew: manage.py extract abort {pair.module}",
        )


def _of_tables(pair: Pair, admins: dict[str, Connection[Any]]) -> Iterator[Obstacle]:
    given = {"schema": pair.schema, "never": [*NEVER_MOVED], "placement": pair.objects.placement}
    tables: dict[str, dict[str, _Table]] = {}
    for unit, admin in admins.items():
        found = (_Table(*row) for row in admin.execute(_queries("tables"), given).fetchall())
        tables[unit] = {table.name: table for table in found}
        for table in tables[unit].values():
            yield from _of_table(pair, unit, table)
        for constraint, from_table, to_table in admin.execute(_queries("foreign_keys"), given).fetchall():
            yield Obstacle(
                "foreign_key",
                f"{unit}: {constraint} of {from_table} reaches {to_table} over the wall of schema {pair.schema}",
                "keep the id as a plain value and run: "
                f"ALTER TABLE {from_table} {_say('DROP CONSTRAINT {}', constraint)};",
            )
        for leaf, parent in admin.execute(_queries("foreign_parents"), given).fetchall():
            yield Obstacle(
                "parent",
                f"{unit}: {leaf} is a part of {parent} over the wall of schema {pair.schema}",
                f"run: ALTER TABLE {leaf} SET SCHEMA ...; so that both stand in one schema",
            )
    source, target = tables[pair.source.unit], tables[pair.target.unit]
    for name in sorted(source.keys() ^ target.keys()):
        lacking, having = (pair.target, pair.source) if name in source else (pair.source, pair.target)
        yield Obstacle(
            "tables",
            f"{lacking.unit} has no table {name}, which {having.unit} has",
            f"bring both to the same migrations: run in {lacking.unit}: manage.py migrate",
        )
    for name in sorted(source.keys() & target.keys()):
        if apart := sorted(set(source[name].columns) ^ set(target[name].columns)):
            yield Obstacle(
                "columns",
                f"table {name} differs between {pair.source.unit} and {pair.target.unit}: {', '.join(apart)}",
                "bring both to the same migrations: run in both: manage.py migrate",
            )


def _of_table(pair: Pair, unit: str, table: "_Table") -> Iterator[Obstacle]:
    name = sql.Identifier(pair.schema, table.name).as_string()
    if table.holds_rows and not table.has_key:
        yield Obstacle(
            "key",
            f"{unit}: table {name} has no primary key that holds at once, so that no change of its rows can be sent",
            f"give it one that is not deferrable, or run: ALTER TABLE {name} REPLICA IDENTITY FULL;",
        )
    if table.computed_in_key:
        # Published, it would refuse every UPDATE and DELETE of its own writers.
        yield Obstacle(
            "generated",
            f"{unit}: rows of table {name} are known by generated columns ({', '.join(table.computed_in_key)}), which "
            "are not sent",
            "give it a primary key of ordinary columns",
        )
    if table.incomparable:
        yield Obstacle(
            "incomparable",
            f"{unit}: rows of table {name} are known by all columns, and {', '.join(table.incomparable)} cannot be "
            "compared",
            "give it a primary key",
        )
    if not table.is_logged:
        yield Obstacle(
            "unlogged", f"{unit}: table {name} is not in the write-ahead log", f"run: ALTER TABLE {name} SET LOGGED;"
        )
    if table.forces_row_security:
        yield Obstacle(
            "row_security",
            f"{unit}: table {name} forces row security upon its owner, as whom changes are written",
            f"run: ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY;",
        )
    if table.owner_bypasses:
        yield Obstacle(
            "bypass",
            f"{unit}: {table.owner}, who owns table {name}, may write past the fence",
            f"run: {_say('ALTER ROLE {} NOSUPERUSER', table.owner)}; "
            f"{_say('REVOKE SET ON PARAMETER session_replication_role FROM {}', table.owner)};",
        )
    for trigger in table.always:
        yield Obstacle(
            "trigger",
            f"{unit}: trigger {trigger} of table {name} would run a second time where the row arrives",
            f"run: ALTER TABLE {name} {_say('ENABLE TRIGGER {}', trigger)};",
        )


def _of_rows(pair: Pair, target: Connection[Any]) -> Iterator[Obstacle]:
    if _one(target, "is_ours", writer=pair.out.writer)[0]:
        return
    given = {"schema": pair.schema, "never": pair.objects.without(), "placement": pair.objects.placement}
    tables = [_Table(*row) for row in target.execute(_queries("tables"), given).fetchall()]
    for table in tables:
        name = sql.Identifier(pair.schema, table.name)
        if target.execute(_queries("has_rows", table=name)).fetchone() is not None:
            yield Obstacle(
                "rows",
                f"{pair.target.unit}: table {name.as_string()} has rows, and nobody says whose",
                f"look at them; if nobody needs them, run in {pair.target.unit}: TRUNCATE {name.as_string()} CASCADE;",
            )


class _Server(NamedTuple):
    system: str
    wal_level: str
    idle_slots: str | None
    slots: int
    senders: int
    workers: int
    origins: int
    processes: int
    """Background workers of every kind, those of replication among them."""
    replication_processes: int

    def free(self) -> tuple[int, ...]:
        """In the order of NEEDS."""
        return self.slots, self.senders, self.workers, self.origins


class _Table(NamedTuple):
    name: str
    holds_rows: bool
    has_key: bool
    computed_in_key: list[str]
    """Generated columns among those by which a row is found again."""
    incomparable: list[str]
    """Columns without equality, where all columns are what a row is found by."""
    is_logged: bool
    forces_row_security: bool
    owner: str
    owner_bypasses: bool
    always: list[str]
    columns: list[str]


def _one(admin: Connection[Any], query: str, **given: object) -> Any:
    return admin.execute(_queries(query), given).fetchone()


def _setting_of(admin: Connection[Any], setting: str) -> str:
    """The setting that bounds the same on this server: origins had none of their own before PostgreSQL 18."""
    return setting if admin.execute(_queries("setting"), {"setting": setting}).fetchone() else "max_replication_slots"


def _setting(code: str, unit: str, setting: str, now: str, needed: str) -> Obstacle:
    return Obstacle(
        code,
        f"{unit}: {setting} is {now}",
        f"run there: ALTER SYSTEM SET {setting} = '{needed}'; and restart the server",
    )


def _say(statement: str, name: str) -> str:
    return sql.SQL(statement).format(sql.Identifier(name)).as_string()
