"""A house of two modules that exists only as files: shop.orders reaches out, shop.payments is reached for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member
from extraction.boundaries.source import findings

FILES = {
    "shop/__init__.py": "",
    "shop/payments/__init__.py": "",
    "shop/payments/service.py": "def charge(): ...\n",
    "shop/payments/models.py": "class Payment: ...\nclass Refund:\n    class Meta:\n        db_table = 'money_back'\n",
    "shop/payments/urls.py": "app_name = 'payments'\nurlpatterns = [path('', index, name='index')]\n",
    "shop/payments/api/urls.py": "urlpatterns = [path('', index, name='payment-list')]\n",
    "shop/payments/management/commands/charge.py": "class Command: ...\n",
    "shop/payments/templates/payments/badge.html": "paid\n",
    "shop/payments/templates/receipt.html": "paid\n",
    "shop/payments/templates/notes/paid.md": "paid\n",
    "shop/payments/static/payments/pay.js": "",
    "shop/payments/templatetags/money.py": "",
    "shop/payments/fixtures/cards.json": "[]\n",
    "shop/payments/fixtures/more/banks.json": "[]\n",
    "shop/orders/__init__.py": "",
    "shop/orders/models.py": "class Order: ...\n",
    "shop/orders/urls.py": "app_name = 'orders'\nurlpatterns = [path('', index, name='index')]\n",
    "shop/orders/management/commands/expire.py": "class Command: ...\n",
    "shop/orders/templates/orders/order.html": "an order\n",
    "shop/orders/templatetags/lines.py": "",
    "shop/orders/fixtures/baskets.json": "[]\n",
}

Look = Callable[..., list[Finding]]


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of the house, in which a test may put more as long as it takes it away again."""
    root = tmp_path_factory.mktemp("street")
    for path, content in FILES.items():
        _write(root / path, content)
    return root


@pytest.fixture
def look(street: Path) -> Look:
    """Findings of a source text that stands in shop/orders, as service.py unless a name is given."""

    def findings_of(source: str | bytes, name: str = "service.py") -> list[Finding]:
        path = street / "shop/orders" / name
        _write(path, source)
        try:
            return list(findings(house(street)))
        finally:
            path.unlink()

    return findings_of


def house(root: Path) -> House:
    return House(
        root,
        tuple(
            Member(name=name, packages=(f"shop.{name}",), labels=(name,), alias=name, schema=name)
            for name in ("orders", "payments")
        ),
    )


def codes(found: list[Finding]) -> list[str]:
    return [each.code.removeprefix("boundaries.") for each in found]


def _write(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
