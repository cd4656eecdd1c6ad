import psycopg
import pytest
from django.db import Error, connections
from django.db.transaction import atomic
from psycopg import sql

from extraction.platform import database
from extraction.platform.database import (
    Owner,
    check_server,
    connect,
    isolation_leaks,
    provide_broker,
    provide_database,
    with_database,
    with_login,
    without_password,
)
from extraction.platform.errors import Leak, MissingPrivilege, ServerTooOld, ServerUnreachable
from extraction.platform.local.postgres import Postgres

RED, BLUE = Owner("red", role="probe_red", password="r%ed'"), Owner("blue", role="probe_blue", password="blue")
NAME = "probe"


@pytest.fixture
def url(own_server: Postgres) -> str:
    """The administrator's URL of a database with two owners and a table of each."""
    provide_database(own_server.url(), name=NAME, owners=[RED, BLUE])
    for owner in (RED, BLUE):
        with as_owner(own_server, owner) as connection:
            connection.execute("create table if not exists things (id int)")
    return own_server.url(NAME)


def as_owner(server: Postgres, owner: Owner) -> psycopg.Connection[tuple[object, ...]]:
    return connect(with_login(server.url(), role=owner.role, password=owner.password, database=NAME))


@pytest.mark.django_db
def test_every_alias_reaches_its_own_schema_as_its_own_role() -> None:
    for alias in connections:
        with connections[alias].cursor() as cursor:
            cursor.execute("select current_schema(), current_user")
            schema = "platform" if alias == "default" else alias
            assert cursor.fetchone() == (schema, f"shop_{schema}")


def test_a_role_neither_waits_long_for_a_lock_nor_sits_on_one(own_server: Postgres, url: str) -> None:
    with as_owner(own_server, RED) as connection:
        for setting, value in (
            ("lock_timeout", "5s"),
            ("idle_in_transaction_session_timeout", "30s"),
            ("statement_timeout", "0"),
        ):
            assert connection.execute("select current_setting(%s)", [setting]).fetchone() == (value,)


@pytest.mark.django_db
def test_no_module_sees_a_table_of_another() -> None:
    for alias in connections:
        for other in set(connections) - {alias, "default"}:
            with pytest.raises(Error, match=f"permission denied for schema {other}"), atomic(using=alias):
                connections[alias].cursor().execute(f"select from {other}.outbox")


@pytest.mark.parametrize(
    "statement",
    [
        "select from blue.things",
        "create table public.mine (id int)",
        "create temporary table mine (id int)",
        "create schema mine",
        "create role mine",
        "create table mine (id int references blue.things (id))",
    ],
)
def test_a_role_may_do_nothing_outside_its_schema(own_server: Postgres, url: str, statement: str) -> None:
    with as_owner(own_server, RED) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


def test_a_role_connects_to_no_other_database(own_server: Postgres, url: str) -> None:
    provide_broker(own_server.url(), name="probe_broker", role="probe_courier", password="c")
    elsewhere = with_login(own_server.url(), role=RED.role, password=RED.password, database="probe_broker")
    with pytest.raises(ServerUnreachable, match="permission denied for database"):
        connect(elsewhere)


def test_the_broker_takes_and_gives_messages(own_server: Postgres) -> None:
    for _ in range(2):  # again does no harm
        provide_broker(own_server.url(), name="probe_broker", role="probe_courier", password="c")
    courier = with_login(own_server.url(), role="probe_courier", password="c", database="probe_broker")
    with connect(courier) as connection:
        connection.execute("select pgmq.create('q')")
        connection.execute("""select pgmq.send('q', '{"a": 1}')""")
        assert connection.execute("select message from pgmq.read('q', 1, 1)").fetchone() == ({"a": 1},)


def test_providing_again_keeps_the_data_and_sets_the_new_password(own_server: Postgres, url: str) -> None:
    with as_owner(own_server, RED) as connection:
        connection.execute("insert into things values (7)")
    changed = Owner(RED.schema, role=RED.role, password="another")
    provide_database(own_server.url(), name=NAME, owners=[changed, BLUE])
    with pytest.raises(ServerUnreachable, match="check the role and the password"):
        as_owner(own_server, RED)
    with as_owner(own_server, changed) as connection:
        assert connection.execute("select id from things").fetchone() == (7,)


def test_providing_leaves_no_leak(url: str) -> None:
    assert isolation_leaks(url, [RED, BLUE]) == []


@pytest.mark.parametrize(
    "breach",
    [
        "ALTER ROLE probe_red SUPERUSER",
        "ALTER ROLE probe_red CREATEROLE",
        "ALTER ROLE probe_red BYPASSRLS",
        "ALTER ROLE probe_red REPLICATION",
        "GRANT probe_blue TO probe_red",
        "GRANT pg_read_all_data TO probe_red",
        "GRANT USAGE ON SCHEMA blue TO probe_red",
        "GRANT CREATE ON SCHEMA blue TO PUBLIC",
        "GRANT USAGE ON SCHEMA public TO PUBLIC",
        "GRANT SELECT ON blue.things TO probe_red",
        "GRANT REFERENCES ON blue.things TO PUBLIC",
        "GRANT UPDATE (id) ON blue.things TO probe_red",
        "GRANT TEMPORARY ON DATABASE probe TO PUBLIC",
    ],
)
def test_a_leak_is_found_and_its_statement_mends_it(url: str, breach: str) -> None:
    with connect(url) as admin:
        admin.execute(breach)
        (leak,) = isolation_leaks(url, [RED, BLUE])
        admin.execute(leak.partition("run: ")[2])
    assert isolation_leaks(url, [RED, BLUE]) == []


def test_the_audit_needs_no_administrator(own_server: Postgres, url: str) -> None:
    with connect(url) as admin:
        admin.execute("GRANT USAGE ON SCHEMA blue TO probe_red")
    as_red = with_login(url, role=RED.role, password=RED.password, database=NAME)
    leaks = isolation_leaks(as_red, [RED, BLUE])
    with connect(url) as admin:
        admin.execute("REVOKE USAGE ON SCHEMA blue FROM probe_red")
    assert leaks == ['role probe_red has USAGE on schema blue; run: REVOKE USAGE ON SCHEMA "blue" FROM "probe_red";']


def test_a_schema_of_somebody_else_is_not_taken_over(own_server: Postgres, url: str) -> None:
    with pytest.raises(Leak, match=r'belongs to probe_red.*run: ALTER SCHEMA "red" OWNER TO "probe_green";'):
        provide_database(own_server.url(), name=NAME, owners=[Owner("red", role="probe_green", password="g")])


def test_an_administrator_need_not_be_superuser(own_server: Postgres) -> None:
    with connect(own_server.url()) as admin:
        admin.execute("DROP ROLE IF EXISTS landlord")
        admin.execute("CREATE ROLE landlord LOGIN CREATEROLE CREATEDB PASSWORD 'l'")
    landlord = with_login(own_server.url(), role="landlord", password="l", database="postgres")
    tenant = Owner("flat", role="probe_tenant", password="t")
    assert check_server(landlord) == []
    for _ in range(2):
        provide_database(landlord, name="probe_house", owners=[tenant])
        provide_broker(landlord, name="probe_house_broker", role="probe_postman", password="p")
    assert isolation_leaks(with_database(landlord, "probe_house"), [tenant]) == []


def test_a_server_too_old_is_refused(own_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LEAST_VERSION", 99)
    with pytest.raises(
        ServerTooOld, match="is PostgreSQL 18 and the least is 99; upgrade it, or leave DATABASE_URL out"
    ):
        check_server(own_server.url())


def test_a_server_too_old_for_extraction_is_a_warning(own_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LEAST_VERSION_FOR_EXTRACTION", 99)
    assert check_server(own_server.url()) == [
        "the server is PostgreSQL 18: the shop runs, but extracting a module will need 99"
    ]


def test_a_server_with_too_few_connections_is_a_warning(own_server: Postgres) -> None:
    (warning,) = check_server(own_server.url(), connections=500)
    assert warning == (
        "the server takes 197 connections and the shop may hold 500; raise max_connections, or "
        "serve with fewer --workers"
    )


def test_an_administrator_without_the_right_is_told_which(own_server: Postgres, url: str) -> None:
    as_red = with_login(url, role=RED.role, password=RED.password, database=NAME)
    with pytest.raises(
        MissingPrivilege, match=r'lacks CREATEROLE and CREATEDB.*ALTER ROLE "probe_red" CREATEROLE CREATEDB;'
    ):
        check_server(as_red)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda url: url.replace("postgres:", "postgres:wrong"), "check the role and the password"),
        (lambda url: with_database(url, "nowhere"), "name a database that exists"),
        (lambda url: "postgresql://postgres:secret@127.0.0.1:1/postgres", "check host and port"),
    ],
    ids=["password", "database", "port"],
)
def test_a_wrong_url_is_told_without_its_password(own_server: Postgres, change: object, expected: str) -> None:
    url = change(own_server.url())  # type: ignore[operator]
    with pytest.raises(ServerUnreachable, match=expected) as raised:
        check_server(url)
    assert url.partition("@")[0].rpartition(":")[2] not in str(raised.value)


def test_passwords_never_reach_the_log_of_the_server(own_server: Postgres, url: str) -> None:
    with connect(own_server.url()) as admin:
        admin.execute("ALTER SYSTEM SET log_statement = 'all'")
        admin.execute("SELECT pg_reload_conf()")
    provide_database(own_server.url(), name=NAME, owners=[Owner("blue", role="probe_blue", password="a-long-secret")])
    with connect(own_server.url()) as admin:
        admin.execute("ALTER SYSTEM RESET log_statement")
        admin.execute("SELECT pg_reload_conf()")
    log = (own_server.directory / "log").read_text()
    assert sql.SQL("ALTER ROLE {}").format(sql.Identifier("probe_blue")).as_string() in log
    assert "a-long-secret" not in log


def test_a_url_is_shown_without_its_password() -> None:
    shown = without_password("postgresql://admin:s%40cret@db.example:5433/shop?password=s")
    assert shown == "postgresql://admin@db.example:5433/shop"
