"""SQL in code and in files."""

import pytest

from tests.boundaries.source.looking import Look, codes


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT * FROM payments.payment", "names payments.payment in SQL"),
        ('SELECT * FROM "payments"."payment"', "names payments.payment in SQL"),
        ("SELECT * FROM payments_payment", "names the table payments_payment in SQL"),
        ("select p.id from orders_order o, payments_payment p", "names the table payments_payment in SQL"),
        ("INSERT INTO payments_payment_tags VALUES (1)", "names the table payments_payment_tags in SQL"),
        ("UPDATE money_back SET x = 1", "names the table money_back in SQL"),
        ("SELECT payments.total(1)", "names payments.total in SQL"),
        ("CREATE SCHEMA IF NOT EXISTS payments", "names the schema payments in SQL"),
        ("SET search_path TO orders, payments", "names the schema payments in SQL"),
        ("SELECT nextval('payments_payment_id_seq')", "names the table payments_payment_id_seq in SQL"),
        ("SELECT 'payments.payment'::regclass", "names payments.payment in SQL"),
    ],
)
def test_sql_on_another_modules_tables_is_found(look: Look, sql: str, named: str) -> None:
    [found] = look(f"cursor.execute({sql!r})")
    assert (found.code, found.other, found.what) == ("boundaries.E211", "payments", named)


@pytest.mark.parametrize(
    "source",
    [
        'SQL = "select 1 from payments_payment"',
        'Order.objects.raw("select 1 from payments_payment")',
        'migrations.RunSQL("select 1 from payments_payment")',
        'migrations.RunSQL([("select 1 from payments_payment", None)])',
        'RawSQL("(select 1 from payments_payment)", ())',
        'cursor.execute("select * from {}".format("payments_payment"))',
        'cursor.execute(f"select * from payments_payment where id = {id}")',
        'cursor.execute("select 1 "\n    "from payments_payment")',
        'Identifier("payments", "payment")',
        'Identifier("payments_payment")',
        'class P:\n    class Meta:\n        managed = False\n        db_table = "payments_payment"',
        "class P:\n    class Meta:\n        db_table = 'payments\".\"payment'",
    ],
)
def test_sql_is_found_wherever_it_stands(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E211"]


def test_the_line_is_the_one_of_the_statement_that_names_the_table(look: Look) -> None:
    [found] = look('x = 1\ncursor.execute("""\n    select 1\n    from payments_payment\n""")')
    assert found.line == 4


@pytest.mark.parametrize(
    "source",
    [
        'cursor.execute("select * from orders_order")',
        'cursor.execute("select * from orders.order")',
        'cursor.execute("select payments.amount from orders_part payments")',
        "cursor.execute(\"select 1 from orders_order where note = 'payments_payment'\")",
        'cursor.execute("select 1 -- payments_payment")',
        'cursor.execute("select o.payments_payment from orders_order o")',
        'cursor.execute("select 1 from payments_paymentx")',
        'text = "Select a row from payments. Then go on"',
        'log.info("payments_payment is read")',
        'name = "payments_payment"',
        'def f():\n    """select 1 from payments_payment"""',
    ],
)
def test_sql_on_its_own_tables_and_words_that_are_no_sql_are_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    "sql",
    [
        "SET ROLE payments",
        "SET ROLE shop_payments",
        "set local role payments",
        'SET SESSION ROLE "payments"',
        "SET SESSION AUTHORIZATION payments",
        "SELECT set_config('role', 'payments', true)",
    ],
)
def test_sql_that_takes_another_role_is_found(look: Look, sql: str) -> None:
    [found] = look(f"cursor.execute({sql!r})")
    assert (found.code, found.other) == ("boundaries.E212", "payments")


def test_a_role_from_a_parameter_is_found_and_is_nobodys(look: Look) -> None:
    [found] = look('cursor.execute("SET ROLE %s", [role])')
    assert (found.code, found.other) == ("boundaries.E212", "")


@pytest.mark.parametrize(
    "source", ['cursor.execute("SET ROLE NONE")', 'help_text = "Set role of a user"', 'role = "payments role"']
)
def test_a_role_that_is_given_back_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("sql", "others"),
    [
        ("DROP TABLE orders_order CASCADE", ["", []]),
        ("DROP SCHEMA payments CASCADE", ["payments", ["E211"]]),
        ("ALTER TABLE orders_order DROP COLUMN x CASCADE", ["", []]),
        ("TRUNCATE orders_order CASCADE", ["", []]),
    ],
)
def test_a_cascade_is_found(look: Look, sql: str, others: list[object]) -> None:
    found = look(f"migrations.RunSQL({sql!r})")
    assert [each.other for each in found if each.code == "boundaries.E213"] == [others[0]]
    assert [code for code in codes(found) if code != "E213"] == others[1]


@pytest.mark.parametrize(
    "source",
    [
        'migrations.RunSQL("DROP TABLE orders_order")',
        'migrations.RunSQL("ALTER TABLE orders_x ADD FOREIGN KEY (y) REFERENCES orders_order ON DELETE CASCADE")',
        'migrations.RunSQL("DROP TABLE a; CREATE TABLE b (c int REFERENCES d ON DELETE CASCADE)")',
        'text = "The cascade goes on"',
        "ForeignKey(Order, models.CASCADE)",
    ],
)
def test_a_cascade_of_rows_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("source", "other"),
    [
        ("execute(\"select pg_advisory_xact_lock(hashtext('payments:1'))\")", "payments"),
        ('execute("select pg_advisory_xact_lock(hashtext(%s))", ["payments:1"])', "payments"),
        ('execute("select pg_advisory_xact_lock(hashtext(%s))", [f"payments:{id}"])', "payments"),
        ('execute("select pg_advisory_lock(4711)")', ""),
        ('execute("select pg_try_advisory_lock(%s)", [key])', ""),
        ("execute(\"select pg_advisory_lock(hashtext('nightly'))\")", ""),
        ('execute("NOTIFY payments_changed")', "payments"),
        ('execute("LISTEN changes")', ""),
        ("execute(\"select pg_notify('payments', 'x')\")", "payments"),
        ('CHANNEL = "LISTEN payments_changed"', "payments"),
        ('advisory_lock("payments:1")', "payments"),
        ('Func(Value("payments"), function="pg_advisory_xact_lock")', "payments"),
    ],
)
def test_a_lock_or_a_channel_without_an_owner_is_found(look: Look, source: str, other: str) -> None:
    [found] = look(source)
    assert (found.code, found.other) == ("boundaries.E210", other)


@pytest.mark.parametrize(
    "source",
    [
        "execute(\"select pg_advisory_xact_lock(hashtext('orders:1'))\")",
        'execute("select pg_advisory_xact_lock(hashtext(%s))", [f"orders:{id}"])',
        'KEY = "orders:nightly"\nexecute("select pg_advisory_lock(hashtext(%s))", [KEY])',
        "execute(f\"select pg_advisory_lock(hashtext('orders:{id}'))\")",
        'execute("NOTIFY orders_changed")',
        'execute(SQL("LISTEN {}").format(Identifier("orders_changed")))',
        "execute(\"select pg_notify('orders.changed', %s)\", [text])",
        'advisory_lock("orders:1")',
        'help_text = "Notify payments"',
        'text = "Listen to it"',
    ],
)
def test_a_lock_or_a_channel_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


def test_a_file_of_sql_is_read(look: Look) -> None:
    [found] = look("-- name: all\nselect 1 -- payments_payment\nfrom payments_payment\n", "queries.sql")
    assert (found.code, found.place) == ("boundaries.E211", "shop/orders/queries.sql:3")
