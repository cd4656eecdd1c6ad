"""29, 31, 32 and 37: tasks, settings, cache keys, locks and channels, which have no owner that Python or SQL knows."""

from shop.breaches.breach import Append, Breach, Replace
from shop.breaches.catalogue.imports import SELECTORS

SERVICE = "modules/orders/service.py"
TASKS = "modules/orders/tasks.py"

BREACHES = (
    Breach(
        label="29",
        title="Celery task of another module by name",
        changes=(
            Replace(TASKS, "from celery import shared_task\n", "from celery import current_app, shared_task\n"),
            Append(
                TASKS,
                '''\
@shared_task(ignore_result=True)
def refund(order_id: str) -> None:
    """Give the money of an order back."""
    current_app.send_task("modules.payments.tasks.refund", kwargs={"order_id": order_id}, retry=False)
''',
            ),
        ),
    ),
    Breach(
        label="29b",
        title="a task under another module's name",
        changes=(
            Append(
                TASKS,
                '''\
@shared_task(ignore_result=True, name="payments.note")
def note(order_id: str) -> None:
    """Answers what payments used to answer."""
''',
            ),
        ),
    ),
    Breach(
        label="29c",
        title="Celery task of another module, short name",
        changes=(
            Replace(
                "modules/payments/tasks.py",
                "@shared_task(ignore_result=True)\ndef refund(",
                '@shared_task(ignore_result=True, name="payments.refund")\ndef refund(',
            ),
            Replace(TASKS, "from celery import shared_task\n", "from celery import current_app, shared_task\n"),
            Append(
                TASKS,
                '''\
@shared_task(ignore_result=True)
def refund(order_id: str) -> None:
    """Give the money of an order back."""
    current_app.send_task("payments.refund", kwargs={"order_id": order_id}, retry=False)
''',
            ),
        ),
    ),
    Breach(
        label="31",
        title="settings of another module",
        changes=(
            Append(
                SERVICE,
                '''\
def order_callback_url() -> str:
    """Where a provider tells that an order is paid."""
    return str(settings.PAYMENT_SETTINGS["callback_url"])
''',
            ),
        ),
    ),
    Breach(
        label="31b",
        title="settings of another module, from their file",
        changes=(
            Append(
                SERVICE,
                '''\
def order_callback_url() -> str:
    """Where a provider tells that an order is paid."""
    from shop import settings as of_the_shop

    return str(of_the_shop.PAYMENT_SETTINGS["callback_url"])
''',
            ),
        ),
        other="",
    ),
    Breach(
        label="32",
        title="shared cache keys",
        changes=(
            Replace(SELECTORS, "import msgspec\n", "import msgspec\nfrom django.core.cache import cache\n"),
            Append(
                SELECTORS,
                '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there, as payments keeps it."""
    return cache.get(f"payments:{order_id}") == "captured"
''',
            ),
        ),
    ),
    Breach(
        label="37",
        title="advisory locks, NOTIFY",
        changes=(
            Append(
                SERVICE,
                '''\
def order_hold(*, order_id: UUID) -> None:
    """Keep payments from charging an order while this transaction is open, and tell whoever listens."""
    transaction_required("orders")
    with connections["orders"].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('payments.charge'))")
        cursor.execute("NOTIFY payments_held")
''',
            ),
        ),
    ),
)
