"""A database for a unit: its role, the module's schema and empty tables, made where nobody else's stand."""

from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from django.apps import apps
from psycopg import Connection, sql

from extraction.placement.database import Objects
from extraction.platform.database import ROLE_SETTINGS, connect, drop_database, with_database, without_password
from extraction.platform.errors import PlatformError, ServerUnreachable
from extraction.platform.protocol import Tell
from extraction.project import Module
from extraction.units.dump import Definition, definition, queries, run

MAINTENANCE = "postgres"
"""A database that is there before the unit's own is."""


def provide(
    module: Module,
    objects: Objects,
    *,
    unit: str,
    source_url: str,
    url: str,
    login_url: str,
    is_empty: bool = False,
    tell: Tell,
) -> None:
    """Database, role, schema, tables and placement, unless they are there; no tables if it is to be empty.

    Raises PlatformError.
    """
    _require_two(source_url, url)
    name, (role, password) = _database(url), _login(login_url)
    tell(f"Database {name} and role {role}")
    with connect(with_database(url, MAINTENANCE)) as server, connect(source_url) as source:
        _provide_role(server, role, password, unit)
        _provide_database(server, url, role, unit, source, module.schema)
    _require_login(login_url, name)
    with connect(url) as admin:
        with admin.transaction():
            admin.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
            admin.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(module.schema)))
        if not is_empty and not _tables(objects, admin):
            made = definition(objects, source_url)
            tell(f"{len(made.tables)} tables of {module.name}, as they are in {without_password(source_url)}")
            try:
                _make(module, objects, made, admin, role=role, unit=unit, source_url=source_url)
            except psycopg.Error as error:
                raise PlatformError(
                    f"{without_password(url)} refused the tables of {module.name} ({str(error).splitlines()[0]}); "
                    f"nothing of them is there. Mend that, then: manage.py extract provision {module.name}"
                ) from error
        for setting, value in {"search_path": _search_path(module.schema), **ROLE_SETTINGS}.items():
            where = (sql.Identifier(part) for part in (role, name, setting))
            # A path is a list of names, not one string.
            shown = sql.SQL(value) if setting == "search_path" else sql.Literal(value)
            admin.execute(sql.SQL("alter role {} in database {} set {} = {}").format(*where, shown))


def retire(url: str, login_url: str, *, unit: str) -> None:
    """Drop the database and the role that `provide` made; of a database that it found, what it put into it."""
    name, (role, _) = _database(url), _login(login_url)
    database, of = sql.Identifier(name), sql.Identifier(role)
    with connect(with_database(url, MAINTENANCE)) as server:
        remark, of_owner = server.execute(queries("database"), {"database": name}).fetchone() or (None, None)
        owner = server.execute(queries("role"), {"role": role}).fetchone()
        if _mark(unit) in (remark, of_owner):
            drop_database(with_database(url, MAINTENANCE), name)
        elif remark is not None and remark.endswith(_found(unit)):
            if owner is not None:
                _empty(url, role, server)
                server.execute(sql.SQL("alter role {} in database {} reset all").format(of, database))
            former = sql.Literal(remark.removesuffix(_found(unit)) or None)
            server.execute(sql.SQL("comment on database {} is {}").format(database, former))
        if owner is not None and owner[0] == _mark(unit):
            server.execute(sql.SQL("drop role {}").format(of))


def _empty(url: str, role: str, server: Connection[Any]) -> None:
    """Of all that the role owns, and of its grants, which only who gave them takes back."""
    server.execute(sql.SQL("grant {} to current_user with inherit true, set true").format(sql.Identifier(role)))
    with connect(url) as admin:
        admin.execute(queries("patience"))
        try:
            admin.execute(sql.SQL("drop owned by {} cascade").format(sql.Identifier(role)))
        except psycopg.Error as error:
            raise PlatformError(
                f"{without_password(url)}: what {role} owns there is not dropped ({str(error).splitlines()[0]}); end "
                "who uses it, and try again"
            ) from error


def _make(
    module: Module,
    objects: Objects,
    made: Definition,
    admin: Connection[Any],
    *,
    role: str,
    unit: str,
    source_url: str,
) -> None:
    """In one transaction: a kill leaves all of it or nothing."""
    labels = [config.label for config in apps.get_app_configs() if config.name in module.apps]
    with admin.transaction():
        if made.extensions:
            run(made.extensions, admin)
        admin.execute(sql.SQL("set local role {}").format(sql.Identifier(role)))
        for script in (made.needs, made.body):
            if script:
                run(script, admin)
        admin.execute("set local search_path to default")
        objects.install(admin, unit=unit, home=module.home)
        _note_migrations(admin, module.schema, labels, source_url)


def _note_migrations(admin: Connection[Any], schema: str, labels: list[str], source_url: str) -> None:
    """So that `manage.py migrate` in the unit goes on from here."""
    with connect(source_url) as source:
        # Django keeps them where the alias's search_path leads, which for most is public.
        for place in dict.fromkeys((schema, "public")):
            if source.execute(queries("has_migrations"), {"schema": place}).fetchone() == (True,):
                found = source.execute(queries("migrations", schema=sql.Identifier(place)), {"labels": labels})
                noted = found.fetchall()
                break
        else:
            return
    admin.execute(queries("note_migrations", schema=sql.Identifier(place)))
    for app, name, applied in noted:
        given = {"app": app, "name": name, "applied": applied}
        admin.execute(queries("note_migration", schema=sql.Identifier(place)), given)


def _provide_role(server: Connection[Any], role: str, password: str, unit: str) -> None:
    """A role that is there keeps its password: it may be somebody's."""
    if server.execute(queries("role"), {"role": role}).fetchone() is None:
        verifier = server.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
        with server.transaction():
            server.execute(
                sql.SQL("create role {} login password {}").format(sql.Identifier(role), sql.Literal(verifier))
            )
            server.execute(sql.SQL("comment on role {} is {}").format(sql.Identifier(role), sql.Literal(_mark(unit))))
    if server.execute(queries("may_become"), {"role": role}).fetchone() != (True,):
        server.execute(sql.SQL("grant {} to current_user with inherit false, set true").format(sql.Identifier(role)))


def _provide_database(
    server: Connection[Any], url: str, role: str, unit: str, source: Connection[Any], schema: str
) -> None:
    """One that is there keeps its owner and its remark, and has to be empty."""
    name = _database(url)
    database, of = sql.Identifier(name), sql.Identifier(role)
    found = server.execute(queries("database"), {"database": name}).fetchone()
    mark = _mark(unit)
    if found is None:
        _create(server, name, role, source)
    elif mark in found:
        server.execute(sql.SQL("alter database {} owner to {}").format(database, of))
    else:
        mark = found[0] or ""
        with connect(url) as there:
            if not mark.endswith(_found(unit)):
                if there.execute(queries("is_empty")).fetchone() != (True,):
                    raise PlatformError(
                        f"{without_password(url)} holds what is somebody else's; name a database that does not exist"
                    )
                mark += _found(unit)
            there.execute(sql.SQL("grant connect, create, temporary on database {} to {}").format(database, of))
            if there.execute(queries("has_schema"), {"schema": schema}).fetchone() == (True,):
                there.execute(sql.SQL("grant usage, create on schema {} to {}").format(sql.Identifier(schema), of))
    server.execute(sql.SQL("comment on database {} is {}").format(database, sql.Literal(mark)))


def _create(server: Connection[Any], name: str, role: str, source: Connection[Any]) -> None:
    found = source.execute(queries("locale")).fetchone()
    assert found is not None
    encoding, provider, collate, ctype, locale = found
    options = [
        sql.SQL("create database {} owner {} template template0 encoding {}").format(
            *map(sql.Identifier, (name, role)), sql.Literal(encoding)
        ),
        sql.SQL("lc_collate {} lc_ctype {}").format(sql.Literal(collate), sql.Literal(ctype)),
    ]
    if provider in ("i", "b"):
        options.append(
            sql.SQL("locale_provider {} {} {}").format(
                sql.SQL("icu" if provider == "i" else "builtin"),
                sql.SQL("icu_locale" if provider == "i" else "builtin_locale"),
                sql.Literal(locale),
            )
        )
    try:
        server.execute(sql.SQL(" ").join(options))
    except (psycopg.errors.WrongObjectType, psycopg.errors.InvalidParameterValue) as error:
        raise PlatformError(
            f"the server does not take the locale of the source ({str(error).splitlines()[0]}); make the database "
            f"there: {sql.SQL('CREATE DATABASE {}').format(sql.Identifier(name)).as_string()} TEMPLATE template0 …"
        ) from None


def _require_two(source_url: str, url: str) -> None:
    places = []
    for each in (source_url, url):
        try:
            with connect(each) as admin:
                places.append(admin.execute(queries("same_database")).fetchone())
        except ServerUnreachable:  # the unit's own is not made yet, or its server says so next
            return
    if places[0] == places[1]:
        raise PlatformError(
            f"{without_password(url)} is the database that the module leaves; name one of its own, which is made"
        )


def _require_login(login_url: str, name: str) -> None:
    if _database(login_url) != name:
        raise PlatformError(
            f"{without_password(login_url)} is not the database {name} of the administrator's URL; name the same"
        )
    connect(login_url).close()


def _tables(objects: Objects, admin: Connection[Any]) -> list[str]:
    given = {**objects.scope, "without": objects.without()}
    return [name for (name,) in admin.execute(queries("tables", members=objects.members), given)]


def _search_path(schema: str) -> str:
    path = [schema] if schema == "public" else [schema, "public"]
    return sql.SQL(", ").join(map(sql.Identifier, path)).as_string()


def _database(url: str) -> str:
    return unquote(urlsplit(url).path[1:])


def _login(url: str) -> tuple[str, str]:
    login = urlsplit(url).netloc.rpartition("@")[0]
    role, _, password = login.partition(":")
    return unquote(role), unquote(password)


def _mark(unit: str) -> str:
    return f"made by extract provision for the unit {unit}"


def _found(unit: str) -> str:
    """Behind the remark of a database that was there, and empty."""
    return f"\nfound empty by extract provision for the unit {unit}"
