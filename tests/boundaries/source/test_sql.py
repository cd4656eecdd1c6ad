"""SQL in code and in files."""

import time
from pathlib import Path

import pytest

from extraction.boundaries.house import House, Member
from extraction.boundaries.source import findings
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
        ("SELECT * FROM payments.payments_payment", "names payments.payments_payment in SQL"),
        ("IMPORT FOREIGN SCHEMA payments FROM SERVER x INTO y", "names the schema payments in SQL"),
        ("BEGIN; DELETE FROM payments_payment; COMMIT", "names the table payments_payment in SQL"),
        ("DECLARE c CURSOR FOR SELECT 1 FROM payments_payment", "names the table payments_payment in SQL"),
        ("SELECT to_regclass('payments_payment')", "names the table payments_payment in SQL"),
        ("SELECT payments_payment.* FROM payments_payment", "names the table payments_payment in SQL"),
        ("SELECT * FROM public.payments_payment", "names the table payments_payment in SQL"),
        ("SELECT 1 FROM `payments_payment`", "names the table payments_payment in SQL"),
        (
            "CREATE VIEW v AS SELECT 1 FROM payments_payment p LEFT JOIN x ON true",
            "names the table payments_payment in SQL",
        ),
        ("ALTER TABLE x ADD FOREIGN KEY (y) REFERENCES payments_payment", "names the table payments_payment in SQL"),
        ("GRANT SELECT ON x, payments_payment TO orders", "names the table payments_payment in SQL"),
        ("COMMENT ON COLUMN payments_payment.id IS 'x'", "names the table payments_payment in SQL"),
        ("DROP INDEX payments_payment_x_idx", "names the table payments_payment_x_idx in SQL"),
        ("COPY payments_payment TO STDOUT", "names the table payments_payment in SQL"),
        ("LOCK TABLE payments_payment IN SHARE MODE", "names the table payments_payment in SQL"),
        ("PREPARE p AS SELECT 1 FROM payments_payment", "names the table payments_payment in SQL"),
        ("EXPLAIN SELECT 1 FROM payments_payment", "names the table payments_payment in SQL"),
        ("WITH x AS (SELECT 1 FROM payments_payment) SELECT 1 FROM x", "names the table payments_payment in SQL"),
        ("DO $$ BEGIN DELETE FROM payments_payment; END $$", "names the table payments_payment in SQL"),
        (
            "DO $x$ BEGIN EXECUTE format('select 1 from payments_payment %s', 1); END $x$",
            "names the table payments_payment in SQL",
        ),
        (
            "SELECT 1 FROM dblink('dbname=x', 'select 1 from payments_payment') AS t (a int)",
            "names the table payments_payment in SQL",
        ),
        ("SELECT query_to_xml('select * from payments.payment', true, true, '')", "names payments.payment in SQL"),
        ("SELECT set_config('search_path', 'orders, payments', false)", "names the schema payments in SQL"),
        ("SET LOCAL search_path = 'orders', 'payments'", "names the schema payments in SQL"),
    ],
)
def test_sql_on_another_modules_tables_is_found(look: Look, sql: str, named: str) -> None:
    [found] = look(f"cursor.execute({sql!r})")
    assert (found.code, found.other, found.what) == ("boundaries.E211", "payments", named)
    assert look(f"SQL = {sql!r}") == [found]


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
        'cursor.execute(columns + " from payments_payment")',
        'cursor.execute("select * from payments_%s" % name)',
        'cursor.execute(f"select * from payments_payment_{year}")',
        'SQL = "Select * from payments_payment"\ncursor.execute(SQL)',
        'SQL = f"select {columns} from payments_payment {where}"',
        'Order.objects.extra(tables=["payments_payment"], where=["payments_payment.x = 1"])',
        'Order.objects.extra(where=["exists (select 1 from payments_payment p where p.x = 1)"])',
        'connect(options="-c search_path=payments")',
        'migrations.AlterModelTable(name="order", table="payments_payment")',
        'Identifier("payments", "payment")',
        'Identifier("payments_payment")',
        'class P:\n    class Meta:\n        managed = False\n        db_table = "payments_payment"',
        "class P:\n    class Meta:\n        db_table = 'payments\".\"payment'",
        'T = "payments_payment"\nexecute(f"select * from {T}")',
        'class A:\n    T = "payments_payment"\n\n    def f(self):\n        execute(f"select * from {self.T}")',
        'T = "payments_payment"\nexecute("select %s from %s" % (name, T))',
        'T = "payments_payment"\nexecute("select %(c)s from %(t)s" % {"t": T, "c": name})',
        'T = "payments_payment"\nexecute("select * from {t}".format(t=T))',
        'T = "payments_payment"\nexecute("select {} from {}".format(name, T))',
        'q += "JOIN payments_payment p ON p.x = o.y"',
        'parts.append("LEFT OUTER JOIN payments_payment p ON true")',
        'q = "NOT EXISTS (SELECT 1 FROM payments_payment)"',
        'q = "(SELECT 1 FROM payments_payment) UNION (SELECT 2)"',
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
        'cursor.execute("select payments_payment from orders_order order by payments_payment")',
        'cursor.execute("select 1 from orders_order where note = %s", ["payments_payment"])',
        "cursor.execute(\"insert into orders_order values ('select the best from payments_payment.')\")",
        "cursor.execute(\"insert into orders_order values ('Select one from payments_payment')\")",
        "cursor.execute(\"select 'a -- b', 'payments_payment' from orders_order\")",
        'cursor.execute("with payments_payment as (select 1) select 1 from payments_payment")',
        'text = "Delete from payments_payment"',
        'text = "select a row of payments_payment, or of all"',
        'text = "select a row from payments_payment to go on"',
        'text = "update payments_payment daily and set the clock"',
        'text = "grant access on payments_payment to all"',
        'text = "copy payments_payment to the archive"',
        'text = _("delete from payments_payment")',
        'log.warning("delete from payments_payment")',
        'raise CommandError("delete from payments_payment")',
        'text = "Select a row from payments. Then go on"',
        'log.info("payments_payment is read")',
        'name = "payments_payment"',
        'def f():\n    """select 1 from payments_payment"""',
        'text = "join payments_payment to go on"',
        'text = "(Select a row from payments_payment)"',
        'T = "payments_payment"\ntext = f"a log from {T}"',
        'T = "payments_payment"\nlog.info(f"select 1 from {T}")',
        'execute("select 1 from %s" % name)',
    ],
)
def test_sql_on_its_own_tables_and_words_that_are_no_sql_are_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("sql", "is_found"),
    [
        ("select value, product, payment_method from orders_order order by value", False),
        ("select o.value as payment_method from orders_order o, jsonb_each(x) where product = 1", False),
        ('insert into orders_order ("order", value, payment_method) values (1, 2, 3)', False),
        ("update orders_order set value = value + 1, payment_method = 2", False),
        ("alter table orders_order add column payment_method int, alter value type int using value::int", False),
        ("create index i on orders_order (payment_method, value)", False),
        ("with product as (select 1 from orders_order) select 1 from product", False),
        ("grant select on orders_order to value, product", False),
        ("select 1 from value_log", False),
        ("select extract(epoch from value), trim(both from product) from orders_order", False),
        ('select 1 from "order"', True),
        ("select 1 from orders_order o, value v", True),
        ("update product set value = 1", True),
        ("create trigger t after update of value on payment_method for each row execute function f()", True),
    ],
)
def test_a_table_that_is_called_like_a_common_word_is_found_where_a_table_stands(
    tmp_path: Path, sql: str, *, is_found: bool
) -> None:
    tables = "".join(f"class {x}:\n    class Meta:\n        db_table = '{x}'\n" for x in ("order", "value", "product"))
    (tmp_path / "payment").mkdir()
    (tmp_path / "payment/models.py").write_text(f"class Method: ...\n{tables}")
    (tmp_path / "orders.py").write_text(f"cursor.execute({sql!r})\nIdentifier('value')\nButton(table='order')\n")
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in ("orders", "payment"))
    assert codes(list(findings(House(tmp_path, members)))) == ["E211"] * is_found


@pytest.mark.parametrize(
    "sql",
    [
        "SET ROLE payments",
        "SET ROLE shop_payments",
        "set local role payments",
        'SET SESSION ROLE "payments"',
        "SET SESSION AUTHORIZATION payments",
        "SELECT set_config('role', 'payments', true)",
        "-c role=payments",
    ],
)
def test_sql_that_takes_another_role_is_found(look: Look, sql: str) -> None:
    [found] = look(f"cursor.execute({sql!r})")
    assert (found.code, found.other) == ("boundaries.E212", "payments")
    assert look(f"SQL = {sql!r}") == [found]


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
        ("DO $$ BEGIN EXECUTE 'DROP TABLE orders_order CASCADE'; END $$", ["", []]),
        ("DROP TABLE orders_order, payments_payment CASCADE;", ["payments", ["E211"]]),
    ],
)
def test_a_cascade_is_found(look: Look, sql: str, others: list[object]) -> None:
    found = look(f"migrations.RunSQL({sql!r})")
    assert codes(look(f"migrations.RunSQL(f{sql + ' {more}'!r})")) == codes(found)
    assert [each.other for each in found if each.code == "boundaries.E213"] == [others[0]]
    assert [code for code in codes(found) if code != "E213"] == others[1]


@pytest.mark.parametrize(
    "source",
    [
        'migrations.RunSQL("DROP TABLE orders_order")',
        'migrations.RunSQL("ALTER TABLE orders_x ADD FOREIGN KEY (y) REFERENCES orders_order ON DELETE CASCADE")',
        'migrations.RunSQL("DROP TABLE a; CREATE TABLE b (c int REFERENCES d ON DELETE CASCADE)")',
        'text = "The cascade goes on"',
        'text = "drop table reservations and the cascade goes on"',
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


@pytest.mark.parametrize(
    "row",
    [
        "please drop off at the back door",
        "drop table x on delete cascade",
        "pg_notify(",
        "image/*",
        "payments.payment x",
    ],
)
def test_a_dump_is_read_in_one_pass(look: Look, row: str) -> None:
    def seconds(rows: int) -> float:
        start = time.process_time()
        look("COPY orders_order FROM stdin;\n" + f"1\t{row}\n" * rows, "dump.sql")
        return time.process_time() - start

    assert seconds(2_000) < 12 * (seconds(500) + 0.02)
