"""14 to 21, 25, 26 and 39: models of another module, and what Django makes of them."""

from shop.breaches.breach import Append, Breach, Create, Replace
from shop.breaches.catalogue.imports import MODELS_IMPORTED, SELECTORS

MODELS = "modules/orders/models.py"
LAST_IMPORT = "from uuid_utils.compat import uuid7\n"
LAST_FIELD = "    placed_at = models.DateTimeField(default=timezone.now)\n"


def _field(line: str) -> Replace:
    """Another field of Order."""
    return Replace(MODELS, LAST_FIELD, f"{LAST_FIELD}    {line}\n")


def _import(line: str) -> Replace:
    """Another import in orders/models.py."""
    return Replace(MODELS, LAST_IMPORT, f"{LAST_IMPORT}\n{line}\n")


BREACHES = (
    Breach(
        label="14",
        title="ForeignKey to the class",
        changes=(
            _import("from modules.payments.models import Payment"),
            _field('payment = models.ForeignKey(Payment, models.SET_NULL, null=True, related_name="+")'),
        ),
    ),
    Breach(
        label="15",
        title="ForeignKey by string",
        changes=(_field('payment = models.ForeignKey("payments.Payment", models.SET_NULL, null=True)'),),
    ),
    Breach(
        label="16",
        title="ManyToMany by string, with its migration",
        changes=(
            _field('payments = models.ManyToManyField("payments.Payment")'),
            Create(
                "modules/orders/migrations/0002_order_payments.py",
                """\
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0001_initial"), ("payments", "0001_initial")]

    operations = [migrations.AddField("order", "payments", models.ManyToManyField(to="payments.payment"))]
""",
            ),
        ),
    ),
    Breach(
        label="16b",
        title="OneToOne by string",
        changes=(_field('payment = models.OneToOneField("payments.Payment", models.SET_NULL, null=True)'),),
    ),
    Breach(
        label="17",
        title="apps.get_model",
        changes=(
            Replace(SELECTORS, "import msgspec\n", "import msgspec\nfrom django.apps import apps\n"),
            Append(
                SELECTORS,
                '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    payments = apps.get_model("payments", "Payment")
    return payments.objects.filter(order_id=order_id, state="captured").exists()
''',
            ),
        ),
    ),
    Breach(
        label="18",
        title="proxy of another module's model",
        changes=(
            _import("from modules.payments.models import Payment"),
            Append(
                MODELS,
                '''\
class OpenPayment(Payment):
    """What is still to be paid."""

    class Meta:
        proxy = True
''',
            ),
        ),
    ),
    Breach(
        label="18b",
        title="models made of every model that there is",
        changes=(
            Replace(
                "modules/orders/apps.py",
                "from django.apps import AppConfig\n",
                "from django.apps import AppConfig, apps\n",
            ),
            Replace(
                "modules/orders/apps.py",
                '    label = "orders"\n',
                '''\
    label = "orders"

    def ready(self) -> None:
        """A view of each model that has an amount, for the report of the month."""
        for model in apps.get_models():
            if any(field.name == "amount_cents" for field in model._meta.fields):
                meta = type("Meta", (), {"proxy": True, "app_label": "orders"})
                type(f"Reported{model.__name__}", (model,), {"__module__": "modules.orders.models", "Meta": meta})
''',
            ),
        ),
    ),
    Breach(
        label="19",
        title="GenericForeignKey, ContentType",
        changes=(
            Replace(
                MODELS,
                "from django.db import models\n",
                "from django.contrib.contenttypes.fields import GenericForeignKey\n"
                "from django.contrib.contenttypes.models import ContentType\n"
                "from django.db import models\n",
            ),
            Append(
                MODELS,
                '''\
class Remark(models.Model):
    """What somebody wrote of an order, of a payment, of anything."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.UUIDField()
    subject = GenericForeignKey("content_type", "object_id")
    text = models.TextField()

    def __str__(self) -> str:
        return self.text
''',
            ),
        ),
    ),
    Breach(
        label="19b",
        title="GenericRelation to a model that is no module's",
        changes=(
            Create(
                "shop/models.py",
                '''\
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Remark(models.Model):
    """What somebody wrote of an order, of a payment, of anything."""

    content_type = models.ForeignKey(ContentType, models.CASCADE)
    object_id = models.UUIDField()
    subject = GenericForeignKey("content_type", "object_id")
    text = models.TextField()

    def __str__(self) -> str:
        return self.text
''',
            ),
            Replace(
                MODELS,
                "from django.db import models\n",
                "from django.contrib.contenttypes.fields import GenericRelation\nfrom django.db import models\n",
            ),
            _field('remarks = GenericRelation("shop.Remark")'),
        ),
        other="",
    ),
    Breach(
        label="20",
        title="signal receiver on another module's model",
        changes=(
            Replace(
                "modules/orders/handlers.py",
                "from contracts.inventory import",
                "from typing import Any\n\n"
                "from django.db.models.signals import post_save\nfrom django.dispatch import receiver\n\n"
                "from contracts.inventory import",
            ),
            Append(
                "modules/orders/handlers.py",
                """\
@receiver(post_save, sender="payments.Payment")
def note_payment(instance: Any, **_: Any) -> None:
    order_note(order_id=instance.order_id, what=f"payment_{instance.state}")
""",
            ),
        ),
    ),
    Breach(
        label="20b",
        title="signal receiver on whatever has an order's id",
        changes=(
            Replace(
                "modules/orders/handlers.py",
                "from contracts.inventory import",
                "from typing import Any\n\n"
                "from django.apps import apps\nfrom django.db.models.signals import post_save\n\n"
                "from contracts.inventory import",
            ),
            Append(
                "modules/orders/handlers.py",
                """\
def note_change(instance: Any, **_: Any) -> None:
    order_note(order_id=instance.order_id, what=f"{type(instance).__name__}_{instance.state}")


for model in apps.get_models():
    if hasattr(model, "order_id") and hasattr(model, "state"):
        post_save.connect(note_change, sender=model)
""",
            ),
        ),
    ),
    Breach(
        label="21",
        title="reverse accessor order.payment_set",
        changes=(
            Replace(
                "modules/payments/models.py",
                "    order_id = models.UUIDField(unique=True)\n",
                '    order = models.ForeignKey("orders.Order", models.CASCADE, unique=True, db_constraint=False)\n',
            ),
            Append(
                SELECTORS,
                '''\
def order_is_paid(*, order_id: UUID) -> bool:
    """Whether the money for an order is there."""
    return Order.objects.get(id=order_id).payment_set.filter(state="captured").exists()
''',
            ),
        ),
        module="payments",
        other="orders",
    ),
    Breach(
        label="25",
        title="admin registration of another module's model",
        changes=(
            Replace(
                "modules/orders/admin.py",
                MODELS_IMPORTED,
                f"{MODELS_IMPORTED}from modules.payments.models import SandboxCharge\n",
            ),
            Append(
                "modules/orders/admin.py",
                """\
@admin.register(SandboxCharge)
class SandboxChargeAdmin(_ReadOnly, ModuleAdmin):
    list_display = ("key", "state")
""",
            ),
        ),
    ),
    Breach(
        label="25b",
        title="admin registration of whatever lacks one",
        changes=(
            Replace(
                "modules/orders/admin.py",
                "from django.contrib import admin\n",
                "from django.apps import apps\nfrom django.contrib import admin\n",
            ),
            Append(
                "modules/orders/admin.py",
                '''\
class AnyAdmin(_ReadOnly, ModuleAdmin):
    """For whoever wrote no admin of their own."""


for model in apps.get_models():
    if model.__name__.endswith("Charge") and not admin.site.is_registered(model):
        admin.site.register(model, AnyAdmin)
''',
            ),
        ),
    ),
    Breach(
        label="26",
        title="migration dependency on another module",
        changes=(
            _field("paid_cents = models.PositiveBigIntegerField(default=0)"),
            Create(
                "modules/orders/migrations/0002_order_paid_cents.py",
                '''\
from django.db import migrations, models


class Migration(migrations.Migration):
    """Behind the table of payments, from which a job fills the column."""

    dependencies = [("orders", "0001_initial"), ("payments", "0001_initial")]

    operations = [migrations.AddField("order", "paid_cents", models.PositiveBigIntegerField(default=0))]
''',
            ),
        ),
    ),
    Breach(
        label="39",
        title="foreign key to the user model",
        changes=(
            Replace(
                MODELS,
                "from django.db import models\n",
                "from django.conf import settings\nfrom django.db import models\n",
            ),
            _field(
                "seen_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, "
                'related_name="seen_orders")'
            ),
            Replace(
                "modules/orders/api/views.py",
                "        return Response(as_answer(order))\n",
                "        request.user.seen_orders.add(order.id)\n        return Response(as_answer(order))\n",
            ),
        ),
        other="",
    ),
    Breach(
        label="39b",
        title="ORM user on request.user",
        changes=(
            Replace(
                "shop/settings.py",
                '    "contracts.runtime.identity.IdentityMiddleware",\n',
                '    "django.contrib.auth.middleware.AuthenticationMiddleware",\n',
            ),
            Replace(
                "modules/orders/api/views.py",
                "        return Response(as_answer(order))\n",
                '        is_regular = request.user.groups.filter(name="regulars").exists()\n'
                '        return Response({**as_answer(order), "is_regular": is_regular})\n',
            ),
        ),
        other="",
    ),
    Breach(
        label="39c",
        title="get_user_model()",
        changes=(
            Replace(
                "modules/orders/api/views.py",
                "from django.http import Http404\n",
                "from django.contrib.auth import get_user_model\nfrom django.http import Http404\n",
            ),
            Replace(
                "modules/orders/api/views.py",
                "        return Response(as_answer(order))\n",
                "        seller = get_user_model().objects.filter(pk=request.user.pk).first()\n"
                '        return Response({**as_answer(order), "seller": str(seller)})\n',
            ),
        ),
        other="",
    ),
)
