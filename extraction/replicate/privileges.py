"""What the coordinator's role, which is no superuser, needs on a side; a stage fails without each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Connection, sql

from extraction.platform.database import connect
from extraction.queries import Queries
from extraction.replicate.pair import Pair, Side

_queries = Queries(Path(__file__).with_name("privileges.sql"))

MEMBERSHIPS = {
    "pg_create_subscription": "replicate gives it to the role that owns a subscription",
    "pg_read_all_stats": "replicate and cutover name the transactions that are in the way",
    "pg_signal_backend": "cutover ends a session that keeps the new home closed",
}
PARAMETERS = {
    "session_replication_role": "replicate empties the target past its triggers",
    "log_statement": "replicate keeps a password out of the log",
    "log_min_duration_statement": "replicate keeps a password out of the log",
    "log_min_error_statement": "replicate keeps a password out of the log",
    "log_duration": "replicate keeps a password out of the log",
    "track_activities": "replicate keeps a password out of the list of sessions",
    "pg_stat_statements.track": "replicate keeps a password out of the statistics",
    "pgaudit.log": "replicate keeps a password out of the audit log",
}
FUNCTIONS = {
    "pg_replication_origin_create": "replicate writes to the target without echo",
    "pg_replication_origin_session_setup": "replicate writes to the target without echo",
    "pg_replication_origin_session_reset": "replicate writes to the target without echo",
    "pg_replication_origin_drop": "abort takes the origin away",
    "pg_show_replication_origin_status": "recall says what is lost",
    "pg_log_standby_snapshot": "cutover tells a large transaction from a small one at once",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A statement for a superuser of that server, in that database."""

    statement: str
    why: str
    is_held: bool


def grants(pair: Pair, side: Side, role: str) -> list[str]:
    """All that this role needs on this side, whether it has it or not. Raises ServerUnreachable."""
    with connect(side.url) as connection:
        return [grant.statement for grant in _needed(pair, connection, role)]


def missing(pair: Pair, connection: Connection[Any]) -> list[Grant]:
    """What the connected role lacks in this database; nothing where it is a superuser."""
    (role,) = connection.execute(_queries("role")).fetchone() or ("",)
    return [grant for grant in _needed(pair, connection, role) if not grant.is_held]


def _needed(pair: Pair, connection: Connection[Any], role: str) -> Iterator[Grant]:
    given: dict[str, Any] = {**pair.objects.scope, "role": role, "schema": pair.schema}
    members = pair.objects.members

    def ask(query: str, **more: Any) -> list[Any]:
        return connection.execute(_queries(query, members=members), given | more).fetchall()

    for is_superuser, creates_roles, replicates in ask("attributes"):
        yield Grant(
            _say("ALTER ROLE {} CREATEROLE REPLICATION", role),
            "replicate makes the roles and slots of the streams",
            is_superuser or (creates_roles and replicates),
        )
    for database, connects, creates in ask("database"):
        why = "replicate publishes, and lets the roles of the streams in"
        yield Grant(
            _say("GRANT CONNECT, CREATE ON DATABASE {} TO {} WITH GRANT OPTION", database, role),
            why,
            connects and creates,
        )
    for schema, owns, is_held in ask("schema"):
        if owns:
            continue
        yield Grant(
            _say("GRANT USAGE ON SCHEMA {} TO {} WITH GRANT OPTION", schema, role),
            "replicate lets the roles of the streams in",
            is_held,
        )
    for owner, is_held in ask("owners"):
        yield Grant(
            _say("GRANT {} TO {} WITH ADMIN TRUE, INHERIT TRUE, SET TRUE", owner, role),
            "replicate fences and publishes the tables as their owner, and lets the stream write as it",
            is_held,
        )
    for group, is_held in ask("memberships", memberships=list(MEMBERSHIPS)):
        admin = " WITH ADMIN TRUE" if group == "pg_create_subscription" else ""
        yield Grant(_say("GRANT {} TO {}" + admin, group, role), MEMBERSHIPS[group], is_held)
    for parameter, is_held in ask("parameters", parameters=list(PARAMETERS)):
        statement = sql.SQL("GRANT SET ON PARAMETER {} TO {}").format(sql.SQL(parameter), sql.Identifier(role))
        yield Grant(f"{statement.as_string()};", PARAMETERS[parameter], is_held)
    for function, is_held in ask("functions", functions=list(FUNCTIONS)):
        statement = sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), sql.Identifier(role))
        yield Grant(f"{statement.as_string()};", FUNCTIONS[function.partition("(")[0]], is_held)


def _say(statement: str, *names: str) -> str:
    return sql.SQL(statement).format(*map(sql.Identifier, names)).as_string() + ";"
