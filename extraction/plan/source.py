"""The database that a module lives in, as a plan reads it: carefully, and without changing anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from psycopg import Connection, sql

from extraction import project
from extraction.placement.database import Objects
from extraction.plan.errors import Unknown
from extraction.platform.database import connect, without_password
from extraction.platform.errors import PlatformError
from extraction.platform.protocol import platform
from extraction.project import Module
from extraction.queries import Queries

_queries = Queries(Path(__file__).with_name("source.sql"))

_SECURE = ("sslmode", "sslrootcert", "sslcert", "sslkey")
_READ = "GRANT USAGE ON SCHEMA {schema} TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};"


@dataclass(frozen=True)
class Source:
    """An open session in the module's database."""

    module: Module
    url: str = field(repr=False)
    connection: Connection[Any] = field(repr=False)

    @property
    def objects(self) -> Objects:
        return Objects(self.module.name, self.module.schema, project.tables(self.module.name))

    def all(self, name: str, given: dict[str, Any] | None = None, **parts: sql.Composable) -> list[tuple[Any, ...]]:
        """The rows of a query of source.sql, which may name the module's `{members}`. Raises Unknown."""
        objects = self.objects
        values = {**objects.scope, "without": objects.without(), **(given or {})}
        query = _queries(name, members=objects.members, **parts)
        try:
            return self.connection.execute(query, values).fetchall()
        except psycopg.Error as error:
            raise Unknown(self.reason(error)) from error

    def count(self, table: sql.Identifier, *, within_ms: int) -> int:
        """Its rows. Raises Unknown, with the grant where a right is missing."""
        try:
            with self.connection.transaction():
                self.connection.execute(_queries("within"), {"ms": str(within_ms)})
                (rows,) = self.connection.execute(_queries("rows", table=table)).fetchone() or (0,)
        except psycopg.Error as error:
            raise Unknown(self.reason(error, is_table=True)) from error
        return int(rows)

    def one(self, name: str, given: dict[str, Any] | None = None, **parts: sql.Composable) -> tuple[Any, ...]:
        """Its first row. Raises Unknown."""
        found = self.all(name, given, **parts)
        if not found:
            raise Unknown(f"the database answers nothing to {name}")
        return found[0]

    def reason(self, error: psycopg.Error, *, is_table: bool = False) -> str:
        """Why PostgreSQL refused, with the grant where a right is missing: that of tables, else of the server's own."""
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if isinstance(error, psycopg.errors.InsufficientPrivilege):
            role, schema = sql.Identifier(self.connection.info.user), sql.Identifier(self.module.schema)
            grants = _READ if is_table else "GRANT pg_monitor TO {role};"
            return f"{said}; as an administrator run: {sql.SQL(grants).format(role=role, schema=schema).as_string()}"
        return said


@contextmanager
def source_of(module: Module, *, url: str = "") -> Iterator[Source]:
    """By this URL; else the platform's way, else the alias of Django's settings. Raises Unknown."""
    reasons: list[str] = []
    for each in [url] if url else _urls(module, reasons):
        try:
            connection = connect(each)
        except PlatformError as error:
            reasons.append(str(error))
            continue
        with connection:
            source = Source(module, each, connection)
            source.all("careful")
            yield source
            return
    raise Unknown("; ".join(reasons))


def _urls(module: Module, reasons: list[str]) -> Iterator[str]:
    try:
        yield platform().admin_url(project.unit(), module.name)
    except (PlatformError, ImproperlyConfigured) as error:
        reasons.append(str(error))
    except ImportError as error:
        reasons.append(f'EXTRACTION["platform"]: {error}')
    try:
        url = _url_of_alias(module.alias)
    except Unknown as error:
        reasons.append(str(error))
        return
    if not any(without_password(url) in reason for reason in reasons):
        yield url


def _url_of_alias(alias: str) -> str:
    found = settings.DATABASES.get(alias)
    if found is None:
        raise Unknown(f"DATABASES has no alias {alias!r}, which EXTRACTION names; add it")
    if "postgresql" not in found["ENGINE"] and "postgis" not in found["ENGINE"]:
        raise Unknown(f"alias {alias!r} is no PostgreSQL ({found['ENGINE']}); only PostgreSQL can be left while in use")
    login = quote(str(found.get("USER") or ""), safe="")
    if found.get("PASSWORD"):
        login += f":{quote(str(found['PASSWORD']), safe='')}"
    host = str(found.get("HOST") or "")
    if not host or host.startswith("/"):
        raise Unknown(
            f"alias {alias!r} is reached by a socket, which another server cannot take; give an address: "
            "--source-url postgresql://role:password@host:5432/database"
        )
    name = quote(str(found["NAME"]), safe="")
    options = found.get("OPTIONS") or {}
    secure = urlencode({key: str(options[key]) for key in _SECURE if key in options})
    return (
        f"postgresql://{login}{'@' if login else ''}{host}:{found.get('PORT') or 5432}/{name}"
        f"{'?' if secure else ''}{secure}"
    )
