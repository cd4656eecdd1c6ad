"""The tables of a project that is not ours, made for a unit as they are where it comes from."""

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from extraction.placement.database import Objects
from extraction.platform.database import drop_database, with_login
from extraction.platform.errors import PlatformError, ServerUnreachable
from extraction.platform.local.postgres import BINARIES
from extraction.project import Module
from extraction.units.database import provide, retire
from tests.extraction.conftest import Servers

TABLES = ("Bill %", "line", "event")
MODULE = Module("bills", ("django.contrib.sessions",), "default", "public", ("/bills/",), "monolith")
OBJECTS = Objects("bills", "public", TABLES)
REMARK = "select shobj_description(oid, 'pg_database') from pg_database where datname = current_database()"
OWNER = (
    "select datdba, coalesce(datacl, acldefault('d', datdba))::text from pg_database where datname = current_database()"
)
PASSWORD = secrets.token_urlsafe(12)


@dataclass(frozen=True)
class Case:
    source: str
    url: str
    login: str

    def provide(self) -> list[str]:
        said: list[str] = []
        provide(
            MODULE, OBJECTS, unit="bills", source_url=self.source, url=self.url, login_url=self.login, tell=said.append
        )
        return said

    def ask(self, query: str, url: str = "") -> list[Any]:
        with psycopg.connect(url or self.url) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
def case(servers: Servers) -> Iterator[Case]:
    name = f"old_{secrets.token_hex(3)}"
    server, target = servers.source.postgres, servers.target.postgres
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    with psycopg.connect(server.url(name), autocommit=True) as admin:
        admin.execute((Path(__file__).with_name("old.sql")).read_bytes())
        OBJECTS.install(admin, unit="monolith", home="monolith")
    login = with_login(target.url(), role=f"Role %{name}", password=PASSWORD, database=name)
    yield Case(server.url(name), target.url(name), login)
    drop_database(server.url(), name)
    retire(target.url(name), login, unit="bills")


@pytest.fixture
def found(case: Case, servers: Servers) -> Iterator[str]:
    """The target's database is there, of its administrator's and with a remark."""
    name = case.url.rpartition("/")[2]
    with psycopg.connect(servers.target.postgres.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        admin.execute(sql.SQL("comment on database {} is 'mine'").format(sql.Identifier(name)))
    yield name
    drop_database(servers.target.postgres.url(), name)


def definition(url: str, *tables: str) -> str:
    command = [str(BINARIES / "pg_dump"), "--schema-only", "--no-owner", "--restrict-key=test", "--dbname", url]
    command += [f'--table=public."{table}"' for table in tables]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_tables_are_as_they_were_but_for_the_keys_that_leave_the_module(case: Case) -> None:
    case.provide()

    key = "bill_id) REFERENCES"
    left_out = [
        part
        for part in definition(case.source, *TABLES, "event_2026").split("\n--\n")
        if "FK CONSTRAINT" in part or "FOREIGN KEY" in part
    ]
    expected = definition(case.source, *TABLES, "event_2026")
    for part in left_out:
        if key not in part and "line_bill_id_fkey" not in part:
            expected = expected.replace(part, "")
    made = definition(case.url, *TABLES, "event_2026")
    assert "customer_id_fkey" in definition(case.source, *TABLES)
    assert "customer_id_fkey" not in made
    assert [line for line in made.splitlines() if line and line != "--"] == [
        line for line in expected.splitlines() if line and line != "--"
    ]
    there = {name for (name,) in case.ask("select relname from pg_class where relkind in ('r', 'p', 'v') "
                                          "and relnamespace = 'public'::regnamespace")}  # fmt: skip
    assert there == {*TABLES, "event_2026", "django_migrations", "bills_placement", "bills_heartbeat"}


def test_the_owner_writes_there_and_owns_it_all(case: Case) -> None:
    case.provide()

    with psycopg.connect(case.login) as owner:
        owner.execute(
            b"""insert into "Bill %" (customer_id, amount, place, colour, range_of)
               values (7, 5, '[1,2]', 'red', row(1, 2))"""
        )
        found = owner.execute(b"""select number, twice, place = '[1,2]' from "Bill %" """).fetchone()
        assert found == (1, 10, True)
        with pytest.raises(psycopg.errors.CheckViolation):
            owner.execute(b"""insert into "Bill %" (customer_id, amount) values (7, -5)""")
    owners = case.ask("select distinct pg_get_userbyid(relowner) from pg_class where oid >= 16384 and relkind <> 't'")
    assert [role for (role,) in owners] == [f"Role %{case.url.rpartition('/')[2]}"]


def test_the_unit_knows_who_it_is_and_which_migrations_it_has(case: Case) -> None:
    case.provide()
    assert case.ask("select bills_unit(), home, epoch from bills_placement") == [("bills", "monolith", 0)]
    assert case.ask("select app, name from django_migrations") == [("sessions", "0001")]


def test_again_changes_nothing(case: Case) -> None:
    case.provide()
    before = definition(case.url)
    with psycopg.connect(case.login) as owner:
        owner.execute("""insert into event (at) values ('2026-05-05')""")
    assert not any("tables" in sentence for sentence in case.provide())
    assert definition(case.url) == before
    assert case.ask("select count(*) from event") == [(1,)]


def test_what_fails_half_way_leaves_nothing_and_is_done_again(case: Case) -> None:
    with psycopg.connect(case.source, autocommit=True) as admin:
        admin.execute("alter table django_migrations alter applied drop not null")
        admin.execute("update django_migrations set applied = null")
    with pytest.raises(PlatformError, match=r"Mend that, then: manage.py extract provision bills"):
        case.provide()
    assert case.ask("select count(*) from pg_class where oid >= 16384") == [(0,)]
    with psycopg.connect(case.source, autocommit=True) as admin:
        admin.execute("update django_migrations set applied = now()")
    case.provide()
    assert case.ask("""select count(*) from "Bill %" """) == [(0,)]


def test_a_database_with_tables_of_somebody_else_is_left_alone(case: Case, servers: Servers) -> None:
    name = case.url.rpartition("/")[2]
    with psycopg.connect(servers.target.postgres.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    with psycopg.connect(case.url, autocommit=True) as admin:
        admin.execute("create table precious (id int)")
    with pytest.raises(PlatformError, match="name a database that does not exist"):
        case.provide()
    retire(case.url, case.login, unit="bills")
    assert case.ask("select count(*) from precious") == [(0,)]
    drop_database(servers.target.postgres.url(), name)


@pytest.mark.parametrize("statement", ["create function f() returns int return 1", "create type mood as enum ()",
                                       "select lo_create(0)"])  # fmt: skip
def test_a_database_with_anything_of_somebody_else_is_left_alone(case: Case, found: str, statement: str) -> None:
    with psycopg.connect(case.url, autocommit=True) as admin:
        admin.execute(statement.encode())
    with pytest.raises(PlatformError, match="name a database that does not exist"):
        case.provide()


def test_of_a_database_that_was_found_empty_only_what_was_put_in_is_taken_out(case: Case, found: str) -> None:
    with psycopg.connect(case.url, autocommit=True) as admin:
        admin.execute("create extension vector")
        before = definition(case.url), admin.execute(REMARK).fetchone(), admin.execute(OWNER).fetchone()
    for _ in range(2):
        case.provide()
        assert case.ask("""select count(*) from "Bill %" """) == [(0,)]
        case.provide()
        retire(case.url, case.login, unit="bills")
        with psycopg.connect(case.url) as admin:
            after = definition(case.url), admin.execute(REMARK).fetchone(), admin.execute(OWNER).fetchone()
            assert admin.execute("select from pg_roles where rolname = %s", (f"Role %{found}",)).fetchone() is None
        assert after == before


def test_a_database_of_which_the_mark_is_lacking_is_dropped_with_its_owner(case: Case) -> None:
    case.provide()
    name = case.url.rpartition("/")[2]
    with psycopg.connect(case.url, autocommit=True) as admin:
        admin.execute(sql.SQL("comment on database {} is null").format(sql.Identifier(name)))
    retire(case.url, case.login, unit="bills")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(case.url)


def test_the_tables_are_read_by_who_owns_them_and_nothing_else_and_wait_for_nobody_elses(case: Case) -> None:
    name = case.url.rpartition("/")[2]
    role = sql.Identifier(f"poor_{name}")
    with psycopg.connect(case.source, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password {}").format(role, sql.Literal(PASSWORD)))
        for table in (*TABLES, "event_2026", "bills_placement"):
            admin.execute(sql.SQL("alter table {} owner to {}").format(sql.Identifier(table), role))
        admin.execute(sql.SQL("grant select on django_migrations to {}").format(role))
    try:
        poor = with_login(case.source, role=f"poor_{name}", password=PASSWORD, database=name)
        with psycopg.connect(case.source) as busy:
            busy.execute("lock customer, audit in access exclusive mode")
            replace(case, source=poor).provide()
        assert case.ask("""select count(*) from "Bill %" """) == [(0,)]
        assert case.ask("select app, name from django_migrations") == [("sessions", "0001")]
    finally:
        with psycopg.connect(case.source, autocommit=True) as admin:
            admin.execute(sql.SQL("reassign owned by {} to current_user").format(role))
            admin.execute(sql.SQL("drop owned by {}").format(role))
            admin.execute(sql.SQL("drop role {}").format(role))


def test_the_database_that_the_module_leaves_is_no_target(case: Case) -> None:
    with pytest.raises(PlatformError, match="name one of its own"):
        replace(case, url=case.source, login=case.source).provide()
    assert case.ask("select count(*) from customer", case.source) == [(0,)]


def test_a_role_that_is_there_keeps_its_password(case: Case, servers: Servers) -> None:
    role = f"Role %{case.url.rpartition('/')[2]}"
    with psycopg.connect(servers.target.postgres.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password 'other'").format(sql.Identifier(role)))
    with pytest.raises(ServerUnreachable, match="check the role and the password"):
        case.provide()
    retire(case.url, case.login, unit="bills")
    with psycopg.connect(servers.target.postgres.url(), autocommit=True) as admin:
        assert admin.execute("select count(*) from pg_roles where rolname = %s", (role,)).fetchone() == (1,)
        admin.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_retired_nothing_is_left(case: Case, servers: Servers) -> None:
    case.provide()
    retire(case.url, case.login, unit="bills")
    name = case.url.rpartition("/")[2]
    with psycopg.connect(servers.target.postgres.url()) as admin:
        left = admin.execute("select count(*) from pg_database where datname = %s", (name,)).fetchone()
        roles = admin.execute("select count(*) from pg_roles where rolname = %s", (f"Role %{name}",)).fetchone()
    assert (left, roles) == ((0,), (0,))
