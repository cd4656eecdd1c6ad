"""What the module's tables lack to be replicated, each by itself and beside its like on the other side."""

from typing import NamedTuple

from psycopg import sql

from extraction.replicate.obstacles.asked import Asked, Found, beside, say

_queries = beside(__file__)

MIGRATE = "bring both to the same migrations: run in both: manage.py migrate"


def of_tables(asked: Asked) -> Found:
    """Of each table on this side."""
    for table in tables(asked):
        yield from _rows_are_found(asked, table)
        yield from _rows_are_sent(asked, table)
        yield from _rows_arrive(asked, table)
    for child, parent, is_partition, schema, _ in asked.rows(_queries, "parents"):
        mend = (
            f"ALTER TABLE {child} SET SCHEMA {sql.Identifier(schema).as_string()};"
            if is_partition
            else f"ALTER TABLE {child} NO INHERIT {parent};"
        )
        yield asked.finds("parent", f"{child} is a part of {parent} over the wall of {asked.pair.module}", mend)


def unlike(source: Asked, target: Asked) -> Found:
    """Tables, columns and constraints of one side that the other has not."""
    here, there = ({table.name: table for table in tables(side)} for side in (source, target))
    for name in sorted(here.keys() ^ there.keys()):
        lacking, having = (target, source) if name in here else (source, target)
        yield lacking.finds(
            "tables",
            f"there is no table {name}, which {having.unit} has",
            f"bring both to the same migrations: run in {lacking.unit}: manage.py migrate",
        )
    for name in sorted(here.keys() & there.keys()):
        one, other = here[name], there[name]
        if apart := sorted(set(one.columns) ^ set(other.columns)):
            yield source.finds("columns", f"table {name} differs from {target.unit}'s: {', '.join(apart)}", MIGRATE)
        elif apart := sorted(set(one.constraints) ^ set(other.constraints)):
            yield source.finds("constraints", f"table {name} differs from {target.unit}'s: {'; '.join(apart)}", MIGRATE)


def tables(asked: Asked) -> list["Table"]:
    """What moves, as this side has it."""
    return [Table(*row) for row in asked.rows(_queries, "tables")]


def has_rows(asked: Asked, table: str) -> bool:
    name = sql.Identifier(asked.pair.schema, table)
    return asked.connection.execute(_queries("has_rows", table=name)).fetchone() is not None


class Table(NamedTuple):
    name: str
    holds_rows: bool
    is_foreign: bool
    is_full: bool
    """A row is known by all its columns."""
    has_key: bool
    could_be_key: str | None
    """An index that could be its replica identity."""
    has_index: bool
    to_index: str | None
    computed: list[str]
    """Generated columns."""
    computed_in_key: list[str]
    incomparable: list[str]
    """Columns without equality, where all columns are what a row is found by."""
    large_objects: list[str]
    is_logged: bool
    has_row_security: bool
    forces_row_security: bool
    owner: str
    owner_bypasses: bool
    always: list[str]
    rules: list[str]
    columns: list[str]
    constraints: list[str]


def _rows_are_found(asked: Asked, table: Table) -> Found:
    name = _name(asked, table)
    if table.holds_rows and not table.has_key:
        identity = f"USING INDEX {sql.Identifier(table.could_be_key).as_string()}" if table.could_be_key else "FULL"
        yield asked.finds(
            "key",
            f"table {name} has no key that holds at once, by which a row is found on the other side",
            f"ALTER TABLE {name} REPLICA IDENTITY {identity};",
        )
    if table.computed_in_key:
        yield asked.finds(
            "generated",
            f"rows of table {name} are known by generated columns ({', '.join(table.computed_in_key)})",
            "give it a primary key of ordinary columns",
        )
    if table.incomparable:
        yield asked.finds(
            "incomparable",
            f"rows of table {name} are known by all columns, {', '.join(table.incomparable)} among them",
            "give it a primary key",
        )
    elif table.is_full and not table.has_index and has_rows(asked, table.name):
        yield asked.finds(
            "key_full",
            f"rows of table {name} are known by all columns, and no index finds them",
            say(f"CREATE INDEX ON {_escaped(name)} ({{}})", table.to_index)
            if table.to_index
            else "give it a primary key",
        )


def _rows_are_sent(asked: Asked, table: Table) -> Found:
    name = _name(asked, table)
    if table.is_foreign:
        yield asked.finds("partition_foreign", f"partition {name} is a foreign table", f"DROP FOREIGN TABLE {name};")
        return
    if not table.is_logged:
        yield asked.finds("unlogged", f"table {name} is not in the write-ahead log", f"ALTER TABLE {name} SET LOGGED;")
    for column in table.large_objects:
        yield asked.finds(
            "large_object",
            f"column {column} of table {name} holds numbers of large objects",
            say(f"ALTER TABLE {_escaped(name)} ALTER COLUMN {{0}} TYPE bytea USING lo_get({{0}})", column),
        )
    if computed := [column for column in table.computed if column not in table.computed_in_key]:
        yield asked.finds("generated_column", f"table {name} computes {', '.join(computed)}", "nothing has to be done")


def _rows_arrive(asked: Asked, table: Table) -> Found:
    name = _name(asked, table)
    if table.forces_row_security:
        yield asked.finds(
            "row_security",
            f"table {name} forces row security upon its owner, as whom changes are written",
            f"ALTER TABLE {name} NO FORCE ROW LEVEL SECURITY; ALTER TABLE {name} DISABLE ROW LEVEL SECURITY;",
        )
    elif table.has_row_security:
        yield asked.finds(
            "row_security",
            f"table {name} has row security, to which the role that copies is subject",
            f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY;",
        )
    if table.owner_bypasses:
        yield asked.finds(
            "bypass",
            f"{table.owner}, who owns table {name}, may write past the fence",
            f"{say('ALTER ROLE {} NOSUPERUSER', table.owner)} "
            f"{say('REVOKE SET ON PARAMETER session_replication_role FROM {}', table.owner)}",
        )
    for trigger in table.always:
        yield asked.finds(
            "trigger",
            f"trigger {trigger} of table {name} is enabled for rows that arrive",
            say(f"ALTER TABLE {_escaped(name)} ENABLE TRIGGER {{}}", trigger),
        )
    for rule in table.rules:
        yield asked.finds(
            "rule", f"rule {rule} rewrites statements on table {name}", say(f"DROP RULE {{}} ON {_escaped(name)}", rule)
        )


def _name(asked: Asked, table: Table) -> str:
    return sql.Identifier(asked.pair.schema, table.name).as_string()


def _escaped(name: str) -> str:
    """A name that holds braces, in a statement that is composed."""
    return name.replace("{", "{{").replace("}", "}}")
