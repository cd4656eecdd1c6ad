"""While a module is on its way nobody changes its tables on one side alone: rows would no longer fit the other.

A change that cannot wait passes in a session with `SET extraction.ddl = '<id of the migration>'`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.placement.database import DDL_SETTING
from extraction.platform.database import connect
from extraction.queries import Queries
from extraction.replicate.pair import Pair
from extraction.replicate.patience import TIMEOUT_S, patiently

EVENTS = {"before": "ddl_command_start", "after": "ddl_command_end"}
_queries = Queries(Path(__file__).with_name("ddl_guard.sql"))


def guard(pair: Pair, *, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Refuse changes of the module's tables from now on, on both sides. Returns why not, where a role may not make
    event triggers; `migrate` refuses then alone. Raises Blocked, ServerUnreachable."""
    notes = []
    for side in (pair.target, pair.source):
        with connect(side.url) as admin:
            notes.append(guard_side(pair, admin, timeout_s=timeout_s))
    return [note for note in notes if note]


def guard_side(pair: Pair, admin: Connection[Any], *, timeout_s: float = TIMEOUT_S) -> str:
    """The same on one side: changes are refused with MV004."""

    def make() -> None:
        admin.execute(_query(pair, "make_schema"))
        admin.execute(_query(pair, "make_function"))
        for moment, event in EVENTS.items():
            trigger = sql.Identifier(_trigger(pair, moment))
            admin.execute(_query(pair, "make_trigger", trigger=trigger, event=sql.SQL(event)))

    if _made(pair, admin) == {_trigger(pair, moment): True for moment in EVENTS}:
        return ""
    unguard(pair, admin, timeout_s=timeout_s)
    try:
        patiently(admin, make, of=pair.objects, timeout_s=timeout_s)
    except psycopg.errors.InsufficientPrivilege as error:
        return (
            f"{admin.info.user} makes no event triggers at {admin.info.host}:{admin.info.port} "
            f"({error.diag.message_primary}), so that only manage.py migrate refuses to change tables of {pair.module} "
            "meanwhile; change them by nothing else"
        )
    return ""


def unguard(pair: Pair, admin: Connection[Any], *, timeout_s: float = TIMEOUT_S) -> None:
    """Refuse no longer. Raises Blocked."""
    statements = [_query(pair, "drop_trigger", trigger=sql.Identifier(trigger)) for trigger in _made(pair, admin)]
    for statement in [*statements, _query(pair, "drop_schema")]:
        patiently(admin, partial(admin.execute, statement), of=pair.objects, timeout_s=timeout_s)


def _trigger(pair: Pair, moment: str) -> str:
    return f"{pair.name}_{moment}"


def _made(pair: Pair, admin: Connection[Any]) -> dict[str, bool]:
    """Those that are there, and whether they are enabled."""
    given = {"triggers": [_trigger(pair, moment) for moment in EVENTS]}
    return dict(admin.execute(_queries("triggers"), given).fetchall())


def _query(pair: Pair, name: str, **parts: sql.Composable) -> sql.Composed:
    module, id = pair.module, sql.Literal(pair.id).as_string()
    hint = (
        f"Change them when it is over: manage.py extract status {module}. If that cannot wait, change both databases, "
        "first the one that is not home where something is added, first the home where it is taken away, each in a "
        f"session with SET {DDL_SETTING} = {id}; then run: manage.py extract replicate {module}"
    )
    return _queries(
        name,
        own=sql.Identifier(f"{pair.name}_ddl"),
        schema_text=sql.Literal(pair.schema),
        fence_name=sql.Literal(pair.objects.fence),
        members=pair.objects.members_literally,
        without=sql.Literal(pair.objects.without()),
        id=sql.Literal(pair.id),
        seen=sql.Literal(f"extraction.tables_{pair.name}"),
        module=sql.Literal(module),
        source=sql.Literal(pair.source.unit),
        target=sql.Literal(pair.target.unit),
        hint=sql.Literal(hint),
        **parts,
    )
