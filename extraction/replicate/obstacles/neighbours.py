"""Keys, views, functions, sequences and streams that reach over the module's wall."""

from psycopg import sql

from extraction.replicate.obstacles.asked import Asked, Found, beside, say

_queries = beside(__file__)

NEAR_END = 0.8
"""Of its numbers are used."""


def neighbours(asked: Asked) -> Found:
    """On this side; what the target lacks of it is only looked at on the source."""
    yield from _foreign_keys(asked)
    if asked.is_source:
        yield from _readers(asked)
        yield from _sequences(asked)
    for publication, has_all, tables, has_schema in asked.rows(_queries, "publications"):
        what = "every table" if has_all else f"schema {asked.pair.schema}" if has_schema else tables
        mend = (
            say("DROP PUBLICATION {}", publication)
            if has_all
            else say("ALTER PUBLICATION {} DROP TABLES IN SCHEMA {}", publication, asked.pair.schema)
            if has_schema
            else f"{say('ALTER PUBLICATION {}', publication)[:-1]} DROP TABLE {tables};"
        )
        yield asked.finds("publication", f"publication {publication} has {what}", mend)
    for subscription, tables in asked.rows(_queries, "subscriptions"):
        yield asked.finds(
            "subscription", f"subscription {subscription} writes {tables}", say("DROP SUBSCRIPTION {}", subscription)
        )


def _foreign_keys(asked: Asked) -> Found:
    for constraint, table, other, is_ours, action in asked.rows(_queries, "foreign_keys"):
        code = "foreign_key" if asked.is_source else "foreign_key_target"
        does = f" with ON DELETE {action}" if action else ""
        outward = "" if is_ours else " from outside"
        yield asked.finds(
            code,
            f"{constraint} of {table} reaches {other} over the wall of {asked.pair.module}{outward}{does}",
            say(f"ALTER TABLE {_escaped(table)} DROP CONSTRAINT {{}}", constraint),
        )


def _readers(asked: Asked) -> Found:
    for view, is_materialized, reads in asked.rows(_queries, "views"):
        kind = "MATERIALIZED VIEW" if is_materialized else "VIEW"
        yield asked.finds("view", f"{kind.lower()} {view} reads {', '.join(reads)}", f"DROP {kind} {view};")
    objects = asked.pair.objects
    ours = [f"{asked.pair.module}_{name}" for name in ("unit", "guard", "fence")]
    for function, is_procedure, table, depends in asked.rows(
        _queries, "functions", ours=objects.without(), our_functions=ours
    ):
        kind = "procedure" if is_procedure else "function"
        if depends:
            yield asked.finds("function", f"{kind} {function} uses {table}", f"DROP {kind.upper()} {function};")
        else:
            yield asked.finds(
                "function_names",
                f"the text of {kind} {function} names {table}",
                "look at it; nothing else has to be done",
            )


def _sequences(asked: Asked) -> Found:
    for (
        name,
        schema,
        bare,
        table,
        column,
        owner,
        table_owner,
        moves,
        elsewhere,
        cache,
        its_type,
        column_type,
        used,
    ) in asked.rows(_queries, "sequences"):
        numbered = f"{table}.{sql.Identifier(column).as_string()}"
        if not moves:
            yield asked.finds(
                "sequence_owner",
                f"{numbered} is numbered by sequence {name}, which does not belong to it",
                _owning(asked.pair.schema, schema, bare, numbered, table_owner if owner != table_owner else ""),
            )
        if elsewhere:
            yield asked.finds(
                "sequence_shared",
                f"sequence {name} numbers {numbered} and {elsewhere}",
                f"give {elsewhere} a sequence of its own",
            )
        if cache > 1:
            yield asked.finds(
                "sequence_cache",
                f"each session takes {cache} numbers of sequence {name}",
                f"ALTER SEQUENCE {name} CACHE 1;",
            )
        if used > NEAR_END:
            larger = f"ALTER SEQUENCE {name} AS bigint NO MAXVALUE NO MINVALUE;"
            if column_type != "bigint":
                larger = f"{say(f'ALTER TABLE {_escaped(table)} ALTER COLUMN {{}} TYPE bigint', column)} {larger}"
            if its_type == "bigint":
                larger = f"ALTER SEQUENCE {name} NO MAXVALUE NO MINVALUE;"
            yield asked.finds("sequence_end", f"{used:.0%} of the numbers of sequence {name} are used", larger)


def _owning(goal: str, schema: str, sequence: str, numbered: str, new_owner: str) -> str:
    """Schema, owner and column, in this order: a sequence belongs to a column of its own schema and owner."""
    statements = [say("ALTER SEQUENCE {}.{} SET SCHEMA {}", schema, sequence, goal)] if schema != goal else []
    if new_owner:
        statements.append(say("ALTER SEQUENCE {}.{} OWNER TO {}", goal, sequence, new_owner))
    owned = sql.Identifier(goal, sequence).as_string()
    return " ".join([*statements, f"ALTER SEQUENCE {owned} OWNED BY {numbered};"])


def _escaped(name: str) -> str:
    """A name that holds braces, in a statement that is composed."""
    return name.replace("{", "{{").replace("}", "}}")
