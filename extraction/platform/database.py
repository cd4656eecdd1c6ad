"""One login role for each schema, which sees nothing else; and the audit that says who sees more."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import aiosql
import psycopg
from psycopg import Connection, sql

from extraction.platform.errors import Leak, MissingPrivilege, ServerTooOld, ServerUnreachable

_queries: Any = aiosql.from_path(Path(__file__).with_name("database.sql"), "psycopg")

LEAST_VERSION = 14
LEAST_VERSION_FOR_EXTRACTION = 16
"""Subscriptions with `origin = none`, without which a change goes round in circles."""

ROLE_SETTINGS = {"lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}
"""What a session of an owner waits for at most.

Without them a session that is stuck with a row locked holds whoever wants that row for as long as it lives, and as many
requests as there are web threads stop the shop. No statement_timeout: migrations run as the same roles.
"""


@dataclass(frozen=True, slots=True)
class Owner:
    """A login role and the schema that it owns, the only one that it sees."""

    schema: str
    role: str
    password: str = field(repr=False)


def connect(url: str) -> Connection[Any]:
    """An autocommit connection. Raises ServerUnreachable, with the URL but without its password."""
    if urlsplit(url).scheme not in ("postgresql", "postgres") or not urlsplit(url).hostname:
        raise ServerUnreachable(
            f"{without_password(url)!r} is no URL of PostgreSQL; write it as "
            "postgresql://administrator:password@host/postgres"
        )
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=5)
    except psycopg.Error as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        reason = (fatal or lines)[-1]
        raise ServerUnreachable(f"{without_password(url)}: {reason}; {_remedy(reason)}") from None


def check_server(url: str, *, connections: int = 0) -> list[str]:
    """Warnings about this server, for so many connections. Raises ServerTooOld, MissingPrivilege, ServerUnreachable."""
    with connect(url) as admin:
        version = _queries.server_version(admin) // 10_000
        role, superuser, creates_roles, creates_databases = _queries.administrator(admin)
        most = _queries.most_connections(admin)
    if version < LEAST_VERSION:
        raise ServerTooOld(
            f"the server is PostgreSQL {version} and the least is {LEAST_VERSION}; upgrade it, or leave DATABASE_URL "
            "out and use the embedded one"
        )
    lacks = [
        name
        for name, given in (("CREATEROLE", creates_roles), ("CREATEDB", creates_databases))
        if not given | superuser
    ]
    if lacks:
        statement = sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), sql.SQL(" ".join(lacks))).as_string()
        raise MissingPrivilege(
            f"role {role} lacks {' and '.join(lacks)}, with which roles, databases and schemas are made; as an "
            f"administrator run: {statement};"
        )
    warnings = []
    if version < LEAST_VERSION_FOR_EXTRACTION:
        warnings.append(
            f"the server is PostgreSQL {version}: the shop runs, but extracting a module will need "
            f"{LEAST_VERSION_FOR_EXTRACTION}"
        )
    if most < connections:
        warnings.append(
            f"the server takes {most} connections and the shop may hold {connections}; raise max_connections, or "
            "serve with fewer --workers"
        )
    return warnings


def provide_database(url: str, *, name: str, owners: Sequence[Owner]) -> None:
    """Make the database, and each owner's role and schema, unless they are there; sets passwords and settings anew."""
    with connect(url) as admin:
        _queries.alone(admin)
        for owner in owners:
            _provide_role(admin, owner.role, owner.password)
        _provide_database(admin, name, [owner.role for owner in owners])
        with connect(with_database(url, name)) as database:
            _execute(database, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
            for owner in owners:
                _provide_schema(database, owner)
                # Set for the role in this database: it survives a pooler that hands connections from one to another.
                for setting, value in {"search_path": owner.schema, **ROLE_SETTINGS}.items():
                    _execute(
                        database,
                        "ALTER ROLE {} IN DATABASE {} SET {} = {}",
                        *map(sql.Identifier, (owner.role, name, setting, value)),
                    )


def provide_broker(url: str, *, name: str, role: str, password: str) -> None:
    """Make a database for pgmq and the role that owns it, unless they are there."""
    import pgmq  # of projects whose broker it is

    with connect(url) as admin:
        _queries.alone(admin)
        _provide_role(admin, role, password)
        _provide_database(admin, name, [role])
        with connect(with_database(url, name)) as database:
            if _queries.schema_exists(database, schema="pgmq"):
                return
            with _able_to_become(admin, role), database.transaction():
                _execute(database, "GRANT CREATE ON DATABASE {} TO {}", *map(sql.Identifier, (name, role)))
                _execute(database, "SET LOCAL ROLE {}", sql.Identifier(role))
                pgmq.install_pgmq_from_sql(conn=database)


def drop_database(url: str, name: str) -> None:
    """Drop it, whoever is connected."""
    with connect(url) as admin:
        _execute(admin, "DROP DATABASE IF EXISTS {} WITH (FORCE)", sql.Identifier(name))


def drop_roles(url: str, roles: Sequence[str]) -> None:
    """Drop those that are there; what they owned in a database must be gone before."""
    with connect(url) as admin:
        for role in roles:
            _execute(admin, "DROP ROLE IF EXISTS {}", sql.Identifier(role))


def check_isolation(url: str, owners: Sequence[Owner]) -> None:
    """Raise Leak if an owner can see more than its schema in the database of this URL."""
    if leaks := isolation_leaks(url, owners):
        raise Leak("\n".join(leaks))


def isolation_leaks(url: str, owners: Sequence[Owner]) -> list[str]:
    """What an owner sees or may do beyond its schema, each with the statement that mends it."""
    found = {mend.as_string(): what for what, mend in _leaks(url, owners)}
    return [f"{what}; run: {mend};" for mend, what in found.items()]


def without_password(url: str) -> str:
    """The URL, fit to be shown."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{login.partition(':')[0]}{at}{host}", query="", fragment=""))


def with_database(url: str, name: str) -> str:
    """The URL of another database on the same server, as the same role."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{quote(name, safe='')}"))


def with_login(url: str, *, role: str, password: str, database: str, scheme: str = "postgresql") -> str:
    """The URL of a database on the same server, as another role."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    login = f"{quote(role, safe='')}:{quote(password, safe='')}"
    return urlunsplit((scheme, f"{login}@{host}", f"/{quote(database, safe='')}", "", ""))


def _provide_role(admin: Connection[Any], role: str, password: str) -> None:
    verb = "ALTER" if _queries.role_exists(admin, role=role) else "CREATE"
    # The verifier, not the password: statements are logged.
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    _execute(admin, verb + " ROLE {} LOGIN PASSWORD {}", sql.Identifier(role), sql.Literal(verifier))


def _provide_database(admin: Connection[Any], name: str, roles: Sequence[str]) -> None:
    if not _queries.database_exists(admin, database=name):
        _execute(admin, "CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0", sql.Identifier(name))
    _execute(admin, "REVOKE ALL ON DATABASE {} FROM PUBLIC", sql.Identifier(name))
    for role in roles:
        _execute(admin, "GRANT CONNECT ON DATABASE {} TO {}", *map(sql.Identifier, (name, role)))


def _provide_schema(database: Connection[Any], owner: Owner) -> None:
    if not _queries.schema_exists(database, schema=owner.schema):
        with _able_to_become(database, owner.role):
            _execute(database, "CREATE SCHEMA {} AUTHORIZATION {}", *map(sql.Identifier, (owner.schema, owner.role)))
    elif (holder := _queries.schema_owner(database, schema=owner.schema)) != owner.role:
        mend = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(*map(sql.Identifier, (owner.schema, owner.role)))
        raise Leak(
            f"schema {owner.schema} belongs to {holder}, not to {owner.role}; if it is this shop's, run: "
            f"{mend.as_string()}; otherwise use another server or drop it"
        )


@contextmanager
def _able_to_become(connection: Connection[Any], role: str) -> Iterator[None]:
    """Let an administrator who is no superuser act as this role meanwhile."""
    if _queries.may_set_role(connection, role=role):
        yield
        return
    _execute(connection, "GRANT {} TO CURRENT_USER", sql.Identifier(role))
    try:
        yield
    finally:
        _execute(connection, "REVOKE {} FROM CURRENT_USER", sql.Identifier(role))


def _leaks(url: str, owners: Sequence[Owner]) -> Iterator[tuple[str, sql.Composed]]:
    roles, schemas = sorted({owner.role for owner in owners}), sorted({owner.schema for owner in owners} | {"public"})
    with connect(url) as admin:
        for role, attribute in _queries.attributes(admin, roles=roles):
            yield f"role {role} is {attribute}", _sql("ALTER ROLE {} NO" + attribute, role)
        for role, other in _queries.memberships(admin, roles=roles):
            yield f"role {role} is a member of {other}", _sql("REVOKE {} FROM {}", other, role)
        for role, schema, privilege, grantee in _queries.foreign_schemas(admin, roles=roles, schemas=schemas):
            yield (
                f"role {role} has {privilege} on schema {schema}",
                _sql(f"REVOKE {privilege} ON SCHEMA {{}} FROM {_who(grantee)}", schema, *_named(grantee)),
            )
        for role, schema, relation, privilege, grantee, kind in _queries.foreign_relations(
            admin, roles=roles, schemas=schemas
        ):
            yield (
                f"role {role} has {privilege} on {schema}.{relation}",
                _sql(
                    f"REVOKE {privilege} ON {kind} {{}}.{{}} FROM {_who(grantee)}", schema, relation, *_named(grantee)
                ),
            )
        for role, schema, relation, column, privilege, grantee in _queries.foreign_columns(
            admin, roles=roles, schemas=schemas
        ):
            yield (
                f"role {role} has {privilege} on {schema}.{relation}.{column}",
                _sql(
                    f"REVOKE {privilege} ({{}}) ON {{}}.{{}} FROM {_who(grantee)}",
                    *(column, schema, relation, *_named(grantee)),
                ),
            )
        for kind, name, privilege in _queries.public_privileges(admin):
            if kind == "DATABASE":
                yield (
                    f"everybody has {privilege} on database {name}",
                    _sql(f"REVOKE {privilege} ON DATABASE {{}} FROM PUBLIC", name),
                )


def _who(grantee: str) -> str:
    return "PUBLIC" if grantee == "PUBLIC" else "{}"


def _named(grantee: str) -> list[str]:
    return [] if grantee == "PUBLIC" else [grantee]


def _sql(statement: str, *identifiers: str) -> sql.Composed:
    return sql.SQL(statement).format(*map(sql.Identifier, identifiers))


def _execute(connection: Connection[Any], statement: str, *parts: sql.Composable) -> None:
    connection.execute(sql.SQL(statement).format(*parts))


def _remedy(reason: str) -> str:
    if "password authentication failed" in reason:
        return "check the role and the password in the URL"
    if "does not exist" in reason:
        return "name a database that exists, such as postgres"
    if "permission denied" in reason:
        return "grant it CONNECT on the database, or use another role"
    return "check host and port and that the server runs"
