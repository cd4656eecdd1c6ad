"""The publication of a stream and its two roles: one that reads here, one that writes there, neither a superuser."""

from functools import partial
from typing import Any

from psycopg import Connection, sql

from extraction.replicate.pair import Pair, Stream
from extraction.replicate.patience import patiently
from extraction.replicate.queries import replicate


def provide_publisher(pair: Pair, stream: Stream, admin: Connection[Any], *, timeout_s: float) -> None:
    """Publish the module's tables with its placement and heartbeat, and let the reader read those. Raises Blocked."""
    _provide_role(admin, stream.reader, "make_reader")
    published = [table for table, holds_rows, _ in _tables(pair, admin) if holds_rows]
    tables = sql.SQL(", ").join(sql.Identifier(pair.schema, table) for table in published)
    names = {"publication": sql.Identifier(stream.name), "tables": tables}
    reading = replicate("grant_reading", role=sql.Identifier(stream.reader), tables=tables, **_places(pair, admin))
    patiently(admin, partial(admin.execute, reading), of=pair.objects, timeout_s=timeout_s)
    found = admin.execute(replicate("publication"), {"publication": stream.name}).fetchone()
    if found is None:
        change = replicate("make_publication", **names)
    elif sorted(found[0]) != published:
        change = replicate("set_publication", **names)
    else:
        return
    patiently(admin, partial(admin.execute, change), of=pair.objects, timeout_s=timeout_s)


def provide_subscriber(pair: Pair, stream: Stream, admin: Connection[Any], *, timeout_s: float) -> None:
    """A role that may become the owner of the module's tables. Raises Blocked."""
    _provide_role(admin, stream.writer, "make_writer")
    writer = sql.Identifier(stream.writer)
    owners = sorted({owner for _, _, owner in _tables(pair, admin)})
    statements = [
        replicate("grant_following", role=writer, **_places(pair, admin)),
        *(replicate("grant_owner", owner=sql.Identifier(owner), role=writer) for owner in owners),
    ]
    for statement in statements:
        patiently(admin, partial(admin.execute, statement), of=pair.objects, timeout_s=timeout_s)


def drop_role(pair: Pair, role: str, admin: Connection[Any], *, timeout_s: float) -> None:
    """With all that it was granted; not one that is not there. Raises Blocked."""
    if _exists(admin, role):
        _take_part(admin, role)
        names = {"role": sql.Identifier(role), **_places(pair, admin)}

        def drop() -> None:
            given = {"role": role, "schema": pair.schema}
            for (grantor,) in admin.execute(replicate("grantors"), given).fetchall():
                admin.execute(replicate("let_out", grantor=sql.Identifier(grantor), **names))
            admin.execute(replicate("drop_role", role=names["role"]))

        patiently(admin, drop, of=pair.objects, timeout_s=timeout_s)


def shut_out(role: str, admin: Connection[Any]) -> None:
    """Let nobody log in as this role any more, and end who has."""
    if _exists(admin, role):
        admin.execute(replicate("no_login", role=sql.Identifier(role)))
        admin.execute(replicate("end_sessions_of"), {"role": role})


def _provide_role(admin: Connection[Any], role: str, statement: str) -> None:
    if not _exists(admin, role):
        admin.execute(replicate(statement, role=sql.Identifier(role)))
    _take_part(admin, role)
    for (limit,) in admin.execute(replicate("limits")).fetchall():
        admin.execute(replicate("without_limit", role=sql.Identifier(role), limit=sql.Identifier(limit)))


def _take_part(admin: Connection[Any], role: str) -> None:
    """Whoever makes a role may give it to himself, and has to, unless he is a superuser: to act as it, to drop it."""
    found = admin.execute(replicate("takes_part"), {"role": role}).fetchone()
    if not (found and found[0]):
        admin.execute(replicate("take_part", role=sql.Identifier(role)))


def _exists(admin: Connection[Any], role: str) -> bool:
    found = admin.execute(replicate("role_exists"), {"role": role}).fetchone()
    return bool(found and found[0])


def _tables(pair: Pair, admin: Connection[Any]) -> list[Any]:
    """(name, holds rows, owner) of what moves; its partitions are published one by one, not through their parent."""
    return admin.execute(replicate("tables", members=pair.objects.members), pair.objects.scope).fetchall()


def _places(pair: Pair, admin: Connection[Any]) -> dict[str, sql.Composable]:
    return {"schema": sql.Identifier(pair.schema), "database": sql.Identifier(admin.info.dbname)}
