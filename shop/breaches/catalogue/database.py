"""22, 35, 36 and 38: SQL, and what a database was told to allow."""

from shop.breaches.breach import Append, Breach, Create, Replace
from shop.breaches.catalogue.imports import SELECTORS

SERVICE = "modules/orders/service.py"
MAY_READ = "GRANT USAGE ON SCHEMA payments TO {orders};\nGRANT SELECT ON payments.payments_payment TO {orders};\n"
ROWS = (
    "from uuid import UUID\n"
    "from modules.orders.selectors import order_rows_in\n"
    'order_rows_in("payments.payments_payment", order_id=UUID(int=1))\n'
)


def _migration(name: str, sql: str) -> Create:
    """A migration of orders that runs this SQL."""
    return Create(
        f"modules/orders/migrations/0002_{name}.py",
        f'''\
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            {sql}
            """,
            migrations.RunSQL.noop,
        )
    ]
''',
    )


BREACHES = (
    Breach(
        label="22",
        title="raw SQL on another schema",
        changes=(
            Append(
                SERVICE,
                '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    with connections["orders"].cursor() as cursor:
        cursor.execute("SELECT state FROM payments.payments_payment WHERE order_id = %s", [order_id])
        return cursor.fetchone() == ("captured",)
''',
            ),
        ),
        run=(
            "from uuid import UUID\n"
            "from modules.orders.service import order_is_paid\n"
            "order_is_paid(order_id=UUID(int=1))\n"
        ),
    ),
    Breach(
        label="22b",
        title="RunSQL on another schema",
        changes=(
            _migration(
                "paid_before",
                "CREATE TABLE paid_before AS SELECT order_id FROM payments.payments_payment WHERE state = 'captured'",
            ),
        ),
    ),
    Breach(
        label="22c",
        title="SQL on a table whose name is computed",
        changes=(
            Replace(SELECTORS, "import msgspec\n", "import msgspec\nfrom django.db import connections\n"),
            Append(
                SELECTORS,
                '''\
def order_rows_in(table: str, *, order_id: UUID) -> int:
    """How many rows of a table are of this order."""
    with connections["orders"].cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE order_id = %s", [order_id])
        return int(cursor.fetchone()[0])
''',
            ),
        ),
        run=ROWS,
    ),
    Breach(
        label="22d",
        title="computed SQL, with what the database refuses swallowed",
        changes=(
            Replace(
                SELECTORS, "import msgspec\n", "import msgspec\nfrom django.db import DatabaseError, connections\n"
            ),
            Append(
                SELECTORS,
                '''\
def order_rows_in(table: str, *, order_id: UUID) -> int:
    """How many rows of a table are of this order; none where the table is not to be read."""
    try:
        with connections["orders"].cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table} WHERE order_id = %s", [order_id])
            return int(cursor.fetchone()[0])
    except DatabaseError:
        return 0
''',
            ),
        ),
        run=ROWS,
    ),
    Breach(
        label="22e",
        title="SQL on another schema, in a file",
        changes=(
            Create(
                "modules/orders/reports/unpaid.sql",
                "SELECT id, placed_at FROM orders_order\n"
                "WHERE id NOT IN (SELECT order_id FROM payments.payments_payment WHERE state = 'captured');\n",
            ),
        ),
    ),
    Breach(
        label="35",
        title="granted foreign key",
        changes=(
            _migration(
                "order_has_payment",
                "ALTER TABLE orders_order ADD COLUMN payment_id uuid "
                "REFERENCES payments.payments_payment (id) ON DELETE CASCADE",
            ),
        ),
        administrator=(
            "GRANT USAGE ON SCHEMA payments TO {orders};\nGRANT REFERENCES ON payments.payments_payment TO {orders};\n"
        ),
    ),
    Breach(
        label="35b",
        title="foreign key that an administrator made",
        administrator=(
            "ALTER TABLE orders.orders_order ADD COLUMN payment_id uuid\n"
            "    REFERENCES payments.payments_payment (id) ON DELETE CASCADE;\n"
        ),
    ),
    Breach(
        label="35c",
        title="privilege on another module's table",
        administrator=MAY_READ,
    ),
    Breach(
        label="36",
        title="SET ROLE, with the membership for it",
        changes=(
            Append(
                SERVICE,
                '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    with transaction("orders"), connections["orders"].cursor() as cursor:
        cursor.execute("SET LOCAL ROLE shop_payments")
        cursor.execute("SELECT state FROM payments_payment WHERE order_id = %s", [order_id])
        return cursor.fetchone() == ("captured",)
''',
            ),
        ),
        administrator="GRANT {payments} TO {orders};\n",
        makes_roles=True,
    ),
    Breach(
        label="36b",
        title="membership in another module's role",
        administrator="GRANT {payments} TO {orders} WITH INHERIT FALSE, SET TRUE;\n",
        makes_roles=True,
    ),
    Breach(
        label="36c",
        title="SET SESSION AUTHORIZATION",
        changes=(
            Append(
                SERVICE,
                '''\
def order_session() -> None:
    """Work as whoever may do more."""
    with connections["orders"].cursor() as cursor:
        cursor.execute("SET SESSION AUTHORIZATION shop_payments")
''',
            ),
        ),
    ),
    Breach(
        label="38",
        title="view over another schema",
        changes=(
            _migration(
                "paid",
                "CREATE VIEW paid AS SELECT order_id FROM payments.payments_payment WHERE state = 'captured'",
            ),
        ),
        administrator=MAY_READ,
    ),
    Breach(
        label="38b",
        title="view that an administrator owns",
        administrator=(
            "CREATE VIEW orders.paid AS SELECT order_id FROM payments.payments_payment WHERE state = 'captured';\n"
            "GRANT SELECT ON orders.paid TO {orders};\n"
        ),
    ),
    Breach(
        label="38c",
        title="DROP SCHEMA … CASCADE",
        changes=(_migration("anew", "DROP SCHEMA payments CASCADE"),),
    ),
    Breach(
        label="38d",
        title="DROP TABLE … CASCADE",
        changes=(_migration("without_lines", "DROP TABLE orders_orderline CASCADE"),),
        other="",
    ),
    Breach(
        label="38e",
        title="function of nobody's schema that runs as its owner",
        administrator=(
            "CREATE SCHEMA reports;\n"
            "GRANT USAGE ON SCHEMA reports TO {orders};\n"
            "CREATE FUNCTION reports.paid() RETURNS SETOF uuid LANGUAGE sql SECURITY DEFINER\n"
            "  AS $$ SELECT order_id FROM payments.payments_payment WHERE state = $c$captured$c$ $$;\n"
        ),
    ),
)
