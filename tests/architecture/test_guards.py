"""Each runtime guard is broken on purpose and seen to catch it, inside a TestCase transaction and outside of one."""

import io
import logging
import signal
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

import psycopg.sql
import pytest
import structlog
from django.apps import apps
from django.db import ProgrammingError, connections
from django.db import transaction as django_transaction
from django.test import RequestFactory
from pytest_django import Settings

from contracts.runtime import CallInTransaction, transaction, use
from contracts.runtime.idempotency import Answer, record
from contracts.users import Users
from extraction import project
from extraction.boundaries import guards, statements
from extraction.boundaries.guards import ForeignTable, ForeignTransaction, SecondCommit
from extraction.boundaries.operations import Operation
from extraction.boundaries.statements import LONGEST, read, statement
from extraction.placement.middleware import FollowingMiddleware


@pytest.fixture(
    params=[
        pytest.param("in a test transaction", marks=pytest.mark.django_db(databases="__all__")),
        pytest.param("with real commits", marks=pytest.mark.django_db(databases="__all__", transaction=True)),
    ]
)
def database() -> None:
    """Both ways in which a project's tests meet the database."""


pytestmark = pytest.mark.usefixtures("database")


def table_of(module: str) -> str:
    return project.model_tables(module)[0]


def write(module: str) -> None:
    """A write that changes nothing."""
    with connections[module].cursor() as cursor:
        cursor.execute(f'DELETE FROM "{table_of(module)}" WHERE false')


def test_refuses_a_transaction_of_one_module_inside_anothers() -> None:
    with pytest.raises(ForeignTransaction, match=r"test_guards\.py:\d+ in write: inventory .* of orders"):
        with transaction("orders"):
            write("orders")
            with transaction("inventory"):
                write("inventory")


def test_a_transaction_that_ran_no_statement_is_none() -> None:
    """As ATOMIC_REQUESTS opens on each alias."""
    with ExitStack() as atomic:
        for module in ("orders", "payments", "inventory"):
            atomic.enter_context(transaction(module))
        write("orders")
        with pytest.raises(ForeignTransaction, match="inventory runs SQL inside an open transaction of orders;"):
            write("inventory")
    with transaction("orders"), transaction("inventory"):
        write("inventory")


def test_allows_one_transaction_after_the_other() -> None:
    for module in ("orders", "inventory", "orders"):
        with transaction(module):
            write(module)


def test_refuses_a_contract_call_inside_a_transaction() -> None:
    with pytest.raises(CallInTransaction, match=r"users\.sign_in was called inside a transaction of orders"):
        with transaction("orders"):
            use(Users).sign_in(email="a@b.example", password="c")


@pytest.mark.parametrize("kind", ["request", "handler", "call"])
def test_refuses_a_second_commit_in_one_module_within_one_operation(kind: str) -> None:
    with (
        Operation(kind, "checkout"),
        pytest.raises(SecondCommit, match=rf"{kind} checkout commits a second time in orders"),
    ):
        for _ in range(2):
            with transaction("orders"):
                write("orders")


def test_refuses_a_second_commit_of_a_request() -> None:
    def view(request: object) -> None:
        for _ in range(2):
            with transaction("orders"):
                write("orders")

    with pytest.raises(SecondCommit, match="request POST /api/orders/"):
        FollowingMiddleware(view)(RequestFactory().post("/api/orders/"))  # type: ignore[arg-type]


def test_counts_a_write_without_a_transaction_as_a_commit() -> None:
    with Operation("request", "checkout"), pytest.raises(SecondCommit):
        write("orders")
        write("orders")


def test_counts_a_transaction_that_only_tells_something() -> None:
    with Operation("request", "checkout"), pytest.raises(SecondCommit):
        for key in ("first", "second"):
            with transaction("orders"):
                record("orders", scope="guards", key=key, request={}, answer=Answer(201, {}))


@pytest.mark.parametrize("comment", ["/* why */ ", "-- why\n", "\n /* a\nb */ -- c\n"])
def test_sees_a_write_behind_a_comment(comment: str) -> None:
    assert read(f"{comment}UPDATE {table_of('orders')} SET id = id")[1]
    assert not read(f"{comment}SELECT 1 -- UPDATE")[1]


def test_allows_one_commit_in_each_module_and_reads_at_will() -> None:
    with Operation("request", "checkout"):
        for module in ("orders", "inventory"):
            with transaction(module), connections[module].cursor() as cursor:
                cursor.execute(f'SELECT count(*) FROM "{table_of(module)}"')
                with django_transaction.atomic(using=module):  # a savepoint is no commit
                    write(module)
                write(module)
            with transaction(module), connections[module].cursor() as cursor:
                cursor.execute(f'SELECT count(*) FROM "{table_of(module)}"')


def test_a_rolled_back_transaction_is_no_commit() -> None:
    with Operation("request", "checkout"):
        with pytest.raises(ZeroDivisionError), transaction("orders"):
            write("orders")
            raise ZeroDivisionError
        with transaction("orders"):
            write("orders")


def test_a_nested_operation_counts_for_itself() -> None:
    with Operation("request", "checkout"), transaction("orders"):
        write("orders")
        with Operation("handler", "orders.confirm"):
            pass


def test_refuses_sql_for_a_table_of_another_module_and_says_where() -> None:
    table = table_of("payments")
    with pytest.raises(ForeignTable, match=rf"test_guards\.py:\d+ in .*: orders runs SQL for payments's table {table}"):
        with connections["orders"].cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{table}"')


STATEMENTS: list[Any] = [
    "SELECT 1 FROM payments_payment",
    "SELECT 1 FROM payments_payment /* ¿ */".encode(),
    "SELECT 1 FROM payments_payment /* ¿ */".encode("latin-1"),
    psycopg.sql.SQL("SELECT 1 FROM {}").format(psycopg.sql.Identifier("payments_payment")),
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_reads_a_statement_of_every_kind_that_psycopg_takes(statement: Any) -> None:
    with connections["orders"].cursor() as cursor:
        with pytest.raises(ForeignTable):
            cursor.execute(statement)


def test_lets_bytes_through_as_they_are() -> None:
    statement: Any = b"SELECT %s"
    with connections["orders"].cursor() as cursor:
        cursor.execute(statement, [1])
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT 1 FROM "{t}"',
        "SELECT 1 FROM {t}",
        'SELECT 1 FROM "payments"."{t}"',
        "SELECT 1 FROM payments.{t} AS x",
        'SELECT 1 FROM a JOIN "{t}" ON true',
        "INSERT INTO {t} VALUES (1)",
        "with x as (delete from {t} returning 1) select * from x",
        "SELECT 1 FROM a, {t}",
        "alter table only {t} add x int",
        'ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES "payments"."{t}"',
        "/* why */ create index on {t} (id)",
    ],
)
def test_sees_a_table_however_it_is_written(sql: str) -> None:
    table = table_of("payments")
    assert ("payments", table) in read(sql.format(t=table))[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'about {t}' FROM other WHERE other.{t} = 1",
        'SELECT "{t}"."id"',
        'SELECT "{t}" FROM other',
        'SELECT 1 AS "{t}" FROM other ORDER BY "{t}"',
        'INSERT INTO other ("{t}") VALUES (1)',
        "COMMENT ON TABLE other IS 'as {t}'",
    ],
)
def test_does_not_take_a_string_a_column_or_an_alias_for_a_table(sql: str) -> None:
    assert not read(sql.format(t=table_of("payments")))[0]


@pytest.fixture
def one_name_for_two(settings: Settings) -> Iterator[None]:
    """orders and payments each have a table of this name, in its own schema."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apps.get_model("payments.Payment")._meta, "db_table", "orders_order")
        settings.EXTRACTION = {**settings.EXTRACTION}
        yield


@pytest.mark.usefixtures("one_name_for_two")
@pytest.mark.parametrize(
    ("table", "alone", "owner"),
    [
        ("orders_order", "orders", "orders"),
        ("orders_order", "payments", "payments"),
        ("payments.orders_order", "orders", "payments"),
        ('"orders"."orders_order"', "", "orders"),
        ("orders_order", "", None),
        ("orders_order", "users", None),
        ("elsewhere.orders_order", "orders", None),
        ("inventory_product", "orders", "inventory"),
    ],
)
def test_a_name_of_two_tables_is_the_schemas_then_the_aliass_own_modules(
    table: str, alone: str, owner: str | None
) -> None:
    sql = f"SELECT 1 FROM {table}"
    assert {found for found, _ in read(sql, alone=alone)[0]} == ({owner} if owner else set())
    seen = statement(sql, alone=alone)
    assert (seen.reads[0][0] if seen else None) == owner


@pytest.mark.usefixtures("one_name_for_two")
def test_allows_a_module_its_own_table_of_a_name_that_another_has_too() -> None:
    apps.get_model("orders.Order").objects.count()
    with pytest.raises(ProgrammingError, match="does not exist"):  # the guard lets it through to the server
        apps.get_model("payments.Payment").objects.count()


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("INSERT INTO outbox (id) VALUES (1)", True),
        ("WITH gone AS (DELETE FROM outbox RETURNING id) SELECT * FROM gone", True),
        (f"WITH v AS (VALUES {'(1), ' * LONGEST}(1)) INSERT INTO outbox SELECT * FROM v", True),
        (f"WITH v AS (VALUES {'(1), ' * LONGEST}(1)) SELECT * FROM v", False),
        ("WITH due AS (SELECT 'update' FROM outbox FOR UPDATE) SELECT * FROM due", False),
        ("COPY (SELECT 1) TO STDOUT", False),
    ],
)
def test_a_write_is_one_wherever_it_stands_and_into_whatever_table(sql: str, writes: bool) -> None:
    assert read(sql)[1] is writes


def test_of_a_long_statement_no_more_is_kept_than_is_read() -> None:
    kept = statements._read.cache_info().currsize
    for rows in range(3):
        read("INSERT INTO outbox VALUES " + "(%s), " * (LONGEST + rows))
    assert statements._read.cache_info().currsize <= kept + 1


def cross() -> None:
    with transaction("orders"):
        write("orders")
        with transaction("inventory"):
            write("inventory")


def test_only_logs_in_production_with_the_call_site(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, "guards": "log"}
    with caplog.at_level(logging.WARNING):
        cross()
    assert "ForeignTransaction" in caplog.text
    assert "test_guards.py" in caplog.text


def test_logs_each_place_once_and_no_more_of_them_than_it_keeps(
    settings: Settings, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, "guards": "log"}
    monkeypatch.setattr(guards, "MOST_TOLD", 2)
    with caplog.at_level(logging.WARNING), transaction("orders"):
        write("orders")
        for _ in range(3):
            for module in ("inventory", "payments", "users"):
                with transaction(module):
                    write(module)
    assert caplog.text.count("boundary crossed") == 2
    assert "inventory runs SQL inside" in caplog.text
    assert "payments runs SQL inside" in caplog.text


def test_logs_with_its_stack_where_structlog_is_not_configured(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, "guards": "log"}
    told = io.StringIO()
    logger = structlog.wrap_logger(structlog.PrintLogger(told), processors=[structlog.dev.ConsoleRenderer()])
    monkeypatch.setattr(guards, "log", logger)
    cross()
    assert "ForeignTransaction" in told.getvalue()
    assert ", in cross\n" in told.getvalue()


@pytest.mark.parametrize("is_signals", [False, True])
def test_logging_that_fails_stays_out_of_the_application(
    is_signals: bool, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a signal's handler raises meanwhile does not."""

    def fail(*_: object) -> None:
        raise TimeoutError

    def processor(*_: object) -> str:
        if is_signals:
            signal.raise_signal(signal.SIGUSR2)
        raise RuntimeError

    settings.EXTRACTION = {**settings.EXTRACTION, "guards": "log"}
    monkeypatch.setattr(guards, "log", structlog.wrap_logger(structlog.PrintLogger(), processors=[processor]))
    before = signal.signal(signal.SIGUSR2, fail)
    try:
        with pytest.raises(TimeoutError) if is_signals else nullcontext():
            cross()
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_refused_second_commit_is_rolled_back() -> None:
    with connections["orders"].cursor() as cursor:
        cursor.execute("DELETE FROM outbox")
    with Operation("request", "checkout"), pytest.raises(SecondCommit):
        for key in ("first", "second"):
            with transaction("orders"), connections["orders"].cursor() as cursor:
                write("orders")
                cursor.execute(
                    "INSERT INTO outbox (id, type, key, data, traceparent) "
                    "VALUES (gen_random_uuid(), 't', %s, '{}', '')",
                    [key],
                )
    with connections["orders"].cursor() as cursor:
        cursor.execute("SELECT key FROM outbox")
        assert cursor.fetchall() == [("first",)]
