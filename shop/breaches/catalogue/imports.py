"""1 to 7: imports that stand in the source."""

import json

from shop.breaches.breach import Append, Breach, Create, Replace

SELECTORS = "modules/orders/selectors.py"
MODELS_IMPORTED = "from modules.orders.models import Order, OrderLine, TimelineEntry\n"
PAYMENT_OF_AN_ORDER = '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    return Payment.objects.filter(order_id=order_id, state="captured").exists()
'''


IN_A_FUNCTION = Append(
    SELECTORS,
    '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    from modules.payments.models import Payment  # not at the top: circular

    return Payment.objects.filter(order_id=order_id, state="captured").exists()
''',
)
HELPER = Create(
    "modules/shared.py",
    '''\
"""What several modules need."""

from uuid import UUID

from modules.payments.models import Payment


def is_paid(order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    return Payment.objects.filter(order_id=order_id, state="captured").exists()
''',
)
FIELD_LOST = (
    Replace(
        "contracts/payments.py",
        "    currency: str\n    reference: str\n\n\nclass PaymentDeclined",
        "    currency: str\n\n\nclass PaymentDeclined",
    ),
    Replace("modules/orders/handlers.py", "reference=event.reference", 'reference=""'),
)


def _accepted(*imports: str) -> Replace:
    """An exception from the contract of import-linter, which it then holds no more."""
    contract = 'modules = ["modules.*"]\n'
    return Replace("pyproject.toml", contract, f"{contract}ignore_imports = {json.dumps(imports)}\n")


def _also(line: str) -> Replace:
    """Another import in orders/selectors.py."""
    return Replace(SELECTORS, MODELS_IMPORTED, MODELS_IMPORTED + line)


BREACHES = (
    Breach(
        label="1",
        title="static import",
        changes=(_also("from modules.payments.models import Payment\n"), Append(SELECTORS, PAYMENT_OF_AN_ORDER)),
    ),
    Breach(
        label="1b",
        title="import in a file that no parser reads",
        changes=(
            Create(
                "modules/orders/api/reports.py",
                "from modules.payments.models import Payment\n\nprint Payment.objects.count()\n",
            ),
        ),
    ),
    Breach(
        label="2",
        title="relative import",
        changes=(_also("from ..payments.models import Payment\n"), Append(SELECTORS, PAYMENT_OF_AN_ORDER)),
    ),
    Breach(
        label="3",
        title="import inside a function",
        changes=(IN_A_FUNCTION,),
    ),
    Breach(
        label="3b",
        title="import that import-linter is told to ignore",
        changes=(
            IN_A_FUNCTION,
            _accepted("modules.orders.selectors -> modules.payments.models"),
        ),
    ),
    Breach(
        label="4",
        title="wildcard re-export",
        changes=(
            Replace(
                SELECTORS,
                "import contracts.orders as contract\n",
                "from modules.payments.selectors import *  # noqa: F403\nimport contracts.orders as contract\n",
            ),
            Replace(
                "modules/orders/api/views.py",
                "from modules.orders.selectors import as_answer, order_get, order_list\n",
                "from modules.orders.selectors import as_answer, order_get, order_list, payment_of\n",
            ),
        ),
    ),
    Breach(
        label="5",
        title="import under TYPE_CHECKING",
        changes=(
            Replace(
                SELECTORS,
                "from typing import Any, cast\n",
                "from typing import TYPE_CHECKING, Any, cast\n",
            ),
            _also("\nif TYPE_CHECKING:\n    from modules.payments.models import Payment\n"),
            Append(
                SELECTORS,
                '''\
def order_amount_is_right(order: Order, payment: "Payment") -> bool:
    """Whether what was captured is what was ordered."""
    return order.total_cents == payment.amount_cents
''',
            ),
        ),
    ),
    Breach(
        label="6",
        title="transitive import, through a helper",
        changes=(
            HELPER,
            _also("from modules.shared import is_paid\n"),
            Append(SELECTORS, "order_is_paid = is_paid\n"),
        ),
    ),
    Breach(
        label="6b",
        title="helper that import-linter is told to ignore",
        changes=(
            HELPER,
            Append(
                SELECTORS,
                '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    from modules.shared import is_paid

    return is_paid(order_id)
''',
            ),
            _accepted(
                "modules.orders.selectors -> modules.shared",
                "modules.shared -> modules.payments.models",
            ),
        ),
    ),
    Breach(
        label="6c",
        title="through the composition root, which knows all",
        changes=(
            Append(
                "modules/orders/tasks.py",
                '''\
@shared_task(ignore_result=True)
def expire_if_books_agree() -> None:
    """Cancel what hangs, unless payments has money for it."""
    from shop.audit import audit

    if audit(wait_s=0).passed:
        order_expire_due()
''',
            ),
        ),
        other="",
    ),
    Breach(
        label="7",
        title="contracts re-exports a model",
        changes=(
            Replace(
                "contracts/payments.py",
                "import msgspec\n",
                "import msgspec\n\nfrom modules.payments.models import Payment as PaymentRow\n",
            ),
            _also("from contracts.payments import PaymentRow\n"),
            Append(SELECTORS, PAYMENT_OF_AN_ORDER.replace("Payment.objects", "PaymentRow.objects")),
        ),
        module="contracts.payments",
    ),
    Breach(
        label="7b",
        title="contracts publishes a type of Django",
        changes=(
            Replace(
                "contracts/payments.py",
                "import msgspec\n",
                "import msgspec\nfrom django.db.models import TextChoices\n",
            ),
            Append(
                "contracts/payments.py",
                '''\
class Method(TextChoices):
    """How an order is paid."""

    CARD = "card"
    INVOICE = "invoice"
''',
            ),
        ),
        module="contracts.payments",
        other="",
    ),
    Breach(
        label="7c",
        title="an event loses a field that others read",
        changes=FIELD_LOST,
        module="payments",
        other="orders",
    ),
    Breach(
        label="7d",
        title="the same, behind a schema that cannot be read",
        changes=(*FIELD_LOST, Replace("contracts/schemas/payments.json", '{\n  "$defs"', '<<<<<<< HEAD\n{\n  "$defs"')),
        module="payments",
        other="orders",
    ),
    Breach(
        label="7e",
        title="an event carries an object that only Python knows",
        changes=(
            Replace(
                "contracts/payments.py",
                "class PaymentDeclined(",
                '''\
class Refusal:
    """Why a provider took no money, and whether it may be asked again."""

    def __init__(self, reason: str) -> None:
        self.reason, self.is_final = reason, reason != "later"


class PaymentDeclined(''',
            ),
            Replace(
                "contracts/payments.py",
                "    reason: str\n\n\nclass PaymentRefunded",
                "    reason: str\n    refusal: Refusal | None = None\n\n\nclass PaymentRefunded",
            ),
        ),
        module="payments",
        other="",
    ),
    Breach(
        label="7f",
        title="an answer over HTTP loses a field that clients read",
        changes=(
            Replace(
                "modules/payments/api/serializers.py",
                "    reference = serializers.CharField()\n",
                "",
            ),
            Replace(
                "modules/payments/api/views.py",
                "        return Response(msgspec.to_builtins(payment))\n",
                "        return Response(PaymentOut(payment).data)\n",
            ),
        ),
        module="payments",
        other="",
    ),
)
