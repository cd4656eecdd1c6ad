"""8 to 13: code that is found by its name, as no import shows it."""

from shop.breaches.breach import Append, Breach, Replace
from shop.breaches.catalogue.imports import MODELS_IMPORTED, SELECTORS


def _with_import(line: str) -> Replace:
    """An import above the first one of orders/selectors.py."""
    return Replace(SELECTORS, "from collections.abc import Iterable\n", f"{line}from collections.abc import Iterable\n")


def _ends_with(statement: str) -> Append:
    """A selector of the state of an order's payment, with this for a body."""
    return Append(SELECTORS, f"def order_payment_state(*, order_id: UUID) -> str:\n{statement}")


ASKED = (
    "from uuid import UUID\n"
    "from modules.orders.selectors import order_payment_state\n"
    "order_payment_state(order_id=UUID(int=1))\n"
)

BREACHES = (
    Breach(
        label="8",
        title='importlib.import_module("literal")',
        changes=(
            _with_import("import importlib\n"),
            _ends_with(
                '    payments = importlib.import_module("modules.payments.selectors")\n'
                "    payment = payments.payment_of(order_id=order_id)\n"
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
    Breach(
        label="8b",
        title="import_module of a relative name",
        changes=(
            Replace(
                SELECTORS,
                "from typing import Any, cast\n",
                "from importlib import import_module\nfrom typing import Any, cast\n",
            ),
            _ends_with(
                '    payments = import_module("..payments.selectors", package=__package__)\n'
                "    payment = payments.payment_of(order_id=order_id)\n"
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
    Breach(
        label="9",
        title='import_string("dotted")',
        changes=(
            Replace(
                SELECTORS, "import msgspec\n", "import msgspec\nfrom django.utils.module_loading import import_string\n"
            ),
            _ends_with(
                '    payment = import_string("modules.payments.selectors.payment_of")(order_id=order_id)\n'
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
    Breach(
        label="9b",
        title="a dotted name in a table",
        changes=(
            Append(
                "modules/orders/service.py",
                'AFTER = {State.CANCELLED: "modules.payments.service.payment_void"}\n'
                '"""What is called when an order comes to a state."""\n',
            ),
        ),
    ),
    Breach(
        label="10",
        title='__import__("literal")',
        changes=(
            _ends_with(
                '    payments = __import__("modules.payments.selectors", fromlist=["payment_of"])\n'
                "    payment = payments.payment_of(order_id=order_id)\n"
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
    Breach(
        label="11",
        title='sys.modules["…"]',
        changes=(
            _with_import("import sys\n"),
            _ends_with(
                '    payments = sys.modules["modules.payments.selectors"]\n'
                "    payment = payments.payment_of(order_id=order_id)\n"
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
    Breach(
        label="12",
        title="computed import",
        changes=(
            _with_import("import importlib\n"),
            _ends_with(
                '    payments = importlib.import_module(".".join(("modules", "payments", "selectors")))\n'
                "    return str(payments.payment_of)\n"
            ),
        ),
        run=ASKED,
    ),
    Breach(
        label="12b",
        title="exec of an import",
        changes=(
            _ends_with(
                "    known: dict[str, Any] = {}\n"
                '    exec("from modules." + "pay" + "ments.selectors import payment_of", known)\n'
                '    payment = known["payment_of"](order_id=order_id)\n'
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
    Breach(
        label="12c",
        title="computed attribute of the parent package",
        changes=(
            _with_import("import modules\n"),
            Append(
                SELECTORS,
                '''\
def order_as_known_to(neighbour: str, *, order_id: UUID) -> Any:
    """What another module knows of an order."""
    return vars(modules)[neighbour].selectors.payment_of(order_id=order_id)
''',
            ),
        ),
        run=(
            "from uuid import UUID\n"
            "from modules.orders.selectors import order_as_known_to\n"
            'order_as_known_to("payments", order_id=UUID(int=1))\n'
        ),
    ),
    Breach(
        label="12d",
        title="computed attribute of the parent package, at the start",
        changes=(
            Replace(
                "modules/orders/apps.py",
                "from django.apps import AppConfig\n",
                "from django.apps import AppConfig\nfrom django.conf import settings\n\nimport modules\n",
            ),
            Replace(
                "modules/orders/apps.py",
                '    label = "orders"\n',
                '''\
    label = "orders"

    def ready(self) -> None:
        """Know the rows of whoever takes the money."""
        (payer,) = (name for name in settings.ALL_MODULES if name.startswith("pay"))
        self.payments = vars(modules)[payer].models.Payment.objects
''',
            ),
        ),
    ),
    Breach(
        label="13",
        title="import pkg; pkg.payments.x",
        changes=(
            Replace(SELECTORS, MODELS_IMPORTED, f"import modules\n{MODELS_IMPORTED}"),
            _ends_with(
                "    payment = modules.payments.selectors.payment_of(order_id=order_id)\n"
                '    return payment.state if payment else ""\n'
            ),
        ),
    ),
)
