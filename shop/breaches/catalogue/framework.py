"""23, 24, 27, 28 and 30: URLs, fixtures, templates and commands."""

from shop.breaches.breach import Append, Breach, Create, Replace

URLS = "modules/orders/api/urls.py"
ORDER_PAGE = "modules/orders/templates/orders/order.html"
AFTER_ORDER = '    path("<uuid:order_id>/", OrderView.as_view(), name="order"),\n'

BREACHES = (
    Breach(
        label="23",
        title='include("other.urls")',
        changes=(
            Replace(URLS, "from django.urls import path\n", "from django.urls import include, path\n"),
            Replace(URLS, AFTER_ORDER, f'{AFTER_ORDER}    path("payments/", include("modules.payments.api.urls")),\n'),
        ),
    ),
    Breach(
        label="23b",
        title="include of a computed name, if installed",
        changes=(
            Replace(
                URLS,
                "from django.urls import path\n",
                "from django.conf import settings\nfrom django.urls import include, path\n",
            ),
            Append(
                URLS,
                """\
if "payments" in settings.MODULES:
    of_payments = ".".join(("modules", "payments", "api", "urls"))
    urlpatterns.append(path("payments/", include(of_payments)))
""",
            ),
        ),
    ),
    Breach(
        label="24",
        title='reverse("payments:…")',
        changes=(
            Replace("modules/payments/api/urls.py", "urlpatterns = [", 'app_name = "payments"\nurlpatterns = ['),
            Replace(
                "modules/orders/api/views.py",
                "from django.http import Http404\n",
                "from django.http import Http404\nfrom django.urls import reverse\n",
            ),
            Replace(
                "modules/orders/api/views.py",
                "        return Response(as_answer(order))\n",
                '        payment = reverse("payments:payment", kwargs={"order_id": order_id})\n'
                '        return Response({**as_answer(order), "payment": payment})\n',
            ),
        ),
    ),
    Breach(
        label="27",
        title="fixture with another module's labels",
        changes=(
            Create(
                "modules/orders/fixtures/demo.json",
                """\
[
  {
    "model": "orders.timelineentry",
    "pk": 1,
    "fields": {"order": "01890000-0000-7000-8000-000000000001", "what": "placed", "at": "2026-01-01T00:00:00Z"}
  },
  {
    "model": "payments.payment",
    "pk": "01890000-0000-7000-8000-000000000002",
    "fields": {"order_id": "01890000-0000-7000-8000-000000000001", "state": "expected"}
  }
]
""",
            ),
        ),
    ),
    Breach(
        label="28",
        title="{% include %} of another module's template",
        changes=(
            Create("modules/payments/templates/payments/receipt.html", "<p>{{ payment.reference }}</p>\n"),
            Create(ORDER_PAGE, '<h1>{{ order.id }}</h1>\n{% include "payments/receipt.html" %}\n'),
        ),
    ),
    Breach(
        label="28b",
        title="template tags built into every template",
        changes=(
            Replace("pyproject.toml", "| (seed)", "| (seed) | (templatetags)"),
            Create("modules/payments/templatetags/__init__.py"),
            Create(
                "modules/payments/templatetags/receipts.py",
                '''\
from django import template

register = template.Library()


@register.filter
def receipt(reference: str) -> str:
    """A provider's reference, as customers read it."""
    return f"No. {reference}"
''',
            ),
            Replace(
                "shop/settings.py",
                '        "OPTIONS": {\n            "context_processors": [',
                '        "OPTIONS": {\n'
                '            "builtins": ["modules.payments.templatetags.receipts"],\n'
                '            "context_processors": [',
            ),
            Create(ORDER_PAGE, "<h1>{{ order.id }}</h1>\n<p>{{ order.reference|receipt }}</p>\n"),
        ),
        module="payments",
        other="",
    ),
    Breach(
        label="30",
        title="call_command of another module's command",
        changes=(
            Create("modules/payments/management/__init__.py"),
            Create("modules/payments/management/commands/__init__.py"),
            Create(
                "modules/payments/management/commands/sweep_payments.py",
                """\
from typing import Any

from django.core.management.base import BaseCommand

from modules.payments.service import payment_sweep


class Command(BaseCommand):
    help = "Asks the provider again about what is due."

    def handle(self, *args: Any, **options: Any) -> None:
        payment_sweep()
""",
            ),
            Replace(
                "modules/orders/tasks.py",
                "from celery import shared_task\n",
                "from celery import shared_task\nfrom django.core.management import call_command\n",
            ),
            Replace(
                "modules/orders/tasks.py",
                "    order_expire_due()\n",
                '    call_command("sweep_payments")\n    order_expire_due()\n',
            ),
        ),
    ),
)
