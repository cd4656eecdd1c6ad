"""33 and 34: what is one transaction in one process, and would be two in two."""

from shop.breaches.breach import Append, Breach, Replace

SERVICE = "modules/orders/service.py"
AN_ORDER = """\
from uuid import uuid4
from modules.orders import service
from modules.orders.models import Order

order = Order.objects.create(customer_id=uuid4(), idempotency_key="a", total_cents=1, currency="EUR")
"""

BREACHES = (
    Breach(
        label="33",
        title="one transaction over two modules",
        changes=(
            Replace(
                SERVICE,
                "from django.db import IntegrityError, connections\n",
                "from django.db import IntegrityError, connections\nfrom django.db import transaction as of_django\n",
            ),
            Append(
                SERVICE,
                '''\
def order_refund(*, order_id: UUID) -> None:
    """Both or neither: the order is cancelled and the money is on its way back."""
    with of_django.atomic(using="orders"), of_django.atomic(using="payments"):
        order_cancel(order_id=order_id, reason="expired")
''',
            ),
        ),
    ),
    Breach(
        label="33b",
        title="one transaction over modules that are computed",
        changes=(
            Replace(
                SERVICE,
                "from contracts.runtime import KeyReused",
                "from contracts.payments import PaymentDeclined\nfrom contracts.runtime import KeyReused",
            ),
            Append(
                SERVICE,
                '''\
def order_decline(*, order_id: UUID, payer: str) -> None:
    """Both or neither: the order is cancelled, and whoever takes the money is said to have declined it."""
    with transaction("orders"):
        order_cancel(order_id=order_id, reason="declined")
        if payer in settings.MODULES:
            with transaction(payer):
                publish(PaymentDeclined(order_id=order_id, reason="too late"))
''',
            ),
        ),
        given=AN_ORDER,
        run='service.order_decline(order_id=order.id, payer="payments")\n',
    ),
    Breach(
        label="33c",
        title="two commits with a question between them",
        changes=(
            Replace(
                SERVICE,
                "from contracts.runtime import KeyReused",
                "from contracts.payments import Payments\nfrom contracts.runtime import KeyReused",
            ),
            Append(
                SERVICE,
                '''\
def order_check(*, order_id: UUID) -> None:
    """Note that an order is looked at, ask payments, and note what it said."""
    with transaction("orders"):
        order_note(order_id=order_id, what="checking")
    payment = use(Payments).payment(order_id=order_id)
    with transaction("orders"):
        order_note(order_id=order_id, what="checked", detail=payment.state if payment else "")
''',
            ),
        ),
        given=AN_ORDER,
        run="service.order_check(order_id=order.id)\n",
        other="",
    ),
    Breach(
        label="33d",
        title="a question inside a transaction",
        changes=(
            Replace(
                SERVICE,
                "from contracts.runtime import KeyReused",
                "from contracts.payments import Payments\nfrom contracts.runtime import KeyReused",
            ),
            Append(
                SERVICE,
                '''\
def order_check(*, order_id: UUID) -> None:
    """Note what payments says of an order."""
    with transaction("orders"):
        payment = use(Payments).payment(order_id=order_id)
        order_note(order_id=order_id, what="checked", detail=payment.state if payment else "")
''',
            ),
        ),
        given=AN_ORDER,
        run="service.order_check(order_id=order.id)\n",
    ),
    Breach(
        label="34",
        title="handler that writes in the publisher's transaction",
        changes=(
            Replace(
                SERVICE,
                "from contracts.users import Users\n",
                "from contracts.runtime.testing import tell\nfrom contracts.users import Users\n",
            ),
            Append(
                SERVICE,
                '''\
def order_cancel_at_once(*, order_id: UUID) -> None:
    """Cancel an order, and let payments hear of it before anybody else does."""
    with transaction("orders"):
        order_cancel(order_id=order_id, reason="expired")
        tell("payments.void", OrderCancelled(order_id=order_id, reason="expired"))
''',
            ),
        ),
        given=AN_ORDER,
        run="service.order_cancel_at_once(order_id=order.id)\n",
    ),
    Breach(
        label="34b",
        title="handler in the publisher's transaction, with the guards off",
        changes=(
            Replace("shop/settings.py", '    "guards": GUARDS,\n', '    "guards": "off",\n'),
            Replace(
                SERVICE,
                "from contracts.users import Users\n",
                "from contracts.runtime.testing import tell\nfrom contracts.users import Users\n",
            ),
            Append(
                SERVICE,
                '''\
def order_cancel_at_once(*, order_id: UUID) -> None:
    """Cancel an order, and where payments lives here let it hear of that before anybody else does."""
    with transaction("orders"):
        order_cancel(order_id=order_id, reason="expired")
        if "payments" in settings.MODULES:
            tell("payments.void", OrderCancelled(order_id=order_id, reason="expired"))
''',
            ),
        ),
        given=AN_ORDER,
        run="service.order_cancel_at_once(order_id=order.id)\n",
    ),
)
