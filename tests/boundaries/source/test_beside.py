"""Published files, the project's own templates, and helpers: what stands beside the modules."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member
from extraction.boundaries.source import findings
from tests.boundaries.source.looking import FILES, codes, house

BREACH = 'import_module("shop.payments.models")\n'
IMPORTS = "from shop.helper import help\n"

Told = Callable[[dict[str, str]], list[Finding]]


@pytest.fixture
def told(tmp_path: Path) -> Told:
    """Of a house with these files too; contracts.orders and shop.payments.api are published."""

    def findings_of(more: dict[str, str]) -> list[Finding]:
        for path, content in (FILES | more).items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)
        return list(findings(replace(house(tmp_path), published=("contracts.orders", "shop.payments.api"))))

    return findings_of


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("contracts/orders.py", "contracts.orders"),
        ("contracts/orders/__init__.py", "contracts.orders"),
        ("contracts/orders/events.py", "contracts.orders.events"),
        ("shop/payments/api.py", "shop.payments.api"),
    ],
)
def test_a_published_file_may_know_no_module(told: Told, path: str, module: str) -> None:
    found = told({path: f'{BREACH}import_string("shop.orders.models.Order")\n'})
    assert [(each.path, each.module, each.other, each.code) for each in found] == [
        (path, module, "payments", "boundaries.E201"),
        (path, module, "orders", "boundaries.E202"),
    ]


def test_what_is_published_may_be_named(told: Told) -> None:
    said = 'TYPE = "payments.refunded.v1"\nTHIS = "shop.payments.api.TYPE"\n'
    asks = 'import_module("shop.payments.api")\n'
    assert not told({"shop/payments/api.py": said, "contracts/orders.py": "", "shop/orders/service.py": asks})


@pytest.mark.parametrize(
    "folder", ["templates/orders", "jinja2/orders", "shop/templates/orders", "templates/orders/parts"]
)
def test_a_template_of_the_project_is_the_modules_that_its_path_names(told: Told, folder: str) -> None:
    page = "{% url 'orders:index' %}\n{% include 'payments/badge.html' %}{# payments #}\n"
    [found] = told({f"{folder}/list.html": page})
    assert (found.place, found.code) == (f"{folder}/list.html:2", "boundaries.E216")
    assert (found.module, found.other) == ("orders", "payments")


@pytest.mark.parametrize("path", ["templates/base.html", "templates/shop/list.html", "pages/orders/list.html"])
def test_a_template_of_the_project_that_names_no_module_is_nobodys(told: Told, path: str) -> None:
    assert not told({path: "{% include 'payments/badge.html' %}"})


def test_a_template_in_a_module_is_that_modules_whatever_its_path_names(tmp_path: Path) -> None:
    (tmp_path / "orders/templates/payments").mkdir(parents=True)
    (tmp_path / "orders/templates/orders").mkdir()
    (tmp_path / "orders/templates/orders/list.html").write_text("")
    (tmp_path / "orders/templates/payments/list.html").write_text("{% include 'orders/list.html' %}")
    (tmp_path / "payments.py").write_text("")
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in ("orders", "payments"))
    assert not list(findings(House(tmp_path, members)))


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (BREACH, "E201"),
        ('def help():\n    return import_string("shop.payments.models.Payment")\n', "E202"),
        (
            'from importlib.machinery import SourceFileLoader\nSourceFileLoader("x", "shop/payments/models.py")\n',
            "E202",
        ),
        ("import shop\n\n\ndef help():\n    return shop.payments.models\n", "E204"),
        ('from django.apps import apps\n\nPayment = apps.get_model("payments", "Payment")\n', "E205"),
        ('P = "shop.payments.models.Payment"\nimport_string(P)\n', "E202"),
        ('P = "shop/payments/models.py"\nfrom imp import load_source\nload_source("x", P)\n', "E202"),
        ("import os, shop\nshop.payments.models\n", "E204"),
        ("from django.apps import apps as a\na.get_registered_model('payments', 'Payment')\n", "E205"),
        ('ContentType.objects.get_by_natural_key("payments", "payment")\n', "E205"),
        ('[m for m in models if m._meta.label == "payments.Payment"]\n', "E205"),
        ('row = look_up("payments.Payment")\n', "E205"),
    ],
)
def test_a_helper_that_takes_another_modules_code_is_found(told: Told, source: str, code: str) -> None:
    [found] = told({"shop/helper.py": source, "shop/orders/service.py": f"\n{IMPORTS}"})
    assert (found.path, found.code) == ("shop/helper.py", f"boundaries.{code}")
    assert (found.module, found.other) == ("orders", "payments")


@pytest.mark.parametrize(
    "source",
    [
        "from proj import apps\napps.payments.models.Payment\n",
        "from .. import apps\napps.payments.models.Payment\n",
        "from proj import (\n    lib,\n    apps,\n)\napps.payments.models.Payment\n",
        "import os, proj.apps\nproj.apps.payments.models.Payment\n",
    ],
)
@pytest.mark.parametrize("above", ["", "tests/", "fixtures/migrations/"])
def test_a_helper_is_found_however_it_imports_what_holds_the_modules_and_wherever_the_checkout_lies(
    tmp_path: Path, above: str, source: str
) -> None:
    files = {
        "proj/lib/helper.py": source,
        "proj/apps/orders/service.py": "from proj.lib.helper import help\n",
        "proj/apps/payments/models.py": "class Payment: ...\n",
        "proj/apps/payments/answer.json": '[{"model": "orders.order"}]',
    }
    root = tmp_path / above
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    members = tuple(
        Member(name=name, packages=(f"proj.apps.{name}",), labels=(name,)) for name in ("orders", "payments")
    )
    assert [(each.path, *codes([each])) for each in findings(House(root, members))] == [("proj/lib/helper.py", "E204")]


def test_what_cannot_be_judged_in_a_helper_is_told_where_a_module_leads_to_it(told: Told) -> None:
    said = f"# boundaries: accept E201\n{BREACH}"
    assert not told({"shop/helper.py": said})
    assert codes(told({"shop/helper.py": said, "shop/orders/service.py": IMPORTS})) == ["E001", "E201"]


def test_the_way_to_a_helper_is_told(told: Told) -> None:
    [found] = told(
        {
            "shop/helper.py": f"\n{BREACH}",
            "shop/between/__init__.py": "from ..helper import help\n",
            "shop/orders/service.py": "\n\nfrom shop import between\n",
            "shop/payments/service.py": IMPORTS,
        }
    )
    assert found.what.splitlines() == [
        'calls import_module("shop.payments.models") in a helper',
        "shop/orders/service.py:3 → shop/between/__init__.py:1 → shop/helper.py:2",
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"shop/helper.py": BREACH},
        {"shop/helper.py": BREACH, "shop/payments/service.py": IMPORTS},
        {"shop/helper.py": BREACH, "shop/urls.py": IMPORTS},
        {
            "shop/helper.py": BREACH,
            "shop/payments/service.py": IMPORTS,
            "shop/orders/service.py": "import shop.payments",
        },
        {"shop/helper.py": 'import importlib\nINSTALLED_APPS = ["shop.payments"]', "shop/orders/service.py": IMPORTS},
        {
            "shop/helper.py": BREACH,
            "contracts/__init__.py": "",
            "contracts/orders.py": IMPORTS,
            "shop/orders/service.py": "import contracts.orders",
        },
        {"shop/helper.py": "import_module(name)", "shop/orders/service.py": IMPORTS},
        {
            "shop/helper.py": f"# boundaries: accept E201 until the report asks\n{BREACH}",
            "shop/orders/service.py": IMPORTS,
        },
    ],
)
def test_a_helper_that_no_module_knows_or_that_only_names_is_none(told: Told, more: dict[str, str]) -> None:
    assert not codes(told(more))
