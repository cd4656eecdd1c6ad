"""Imports of another module are found in every form; what a module may know is not."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from grimp.application import usecases
from grimp.application.config import settings

from extraction.boundaries.findings import Finding, Skipped
from extraction.boundaries.import_cache import Kept
from extraction.boundaries.import_graph import packages_of
from extraction.boundaries.imports import findings
from extraction.boundaries.opening import house_at, house_of_project
from tests.boundaries.conftest import MODULES, Checkout

SERVICE = "modules/orders/service.py"


def shown(found: Finding) -> str:
    """`modules/orders/service.py:1 E101 orders → payments: imports modules.payments`, without further lines."""
    code = found.code.rpartition(".")[2]
    return f"{found.place} {code} {found.module} → {found.other}: {found.what.splitlines()[0]}"


def of(checkout: Checkout, cache: Path | None = None) -> list[str]:
    return sorted(map(shown, findings(checkout.house(cache=cache))))


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("from modules.payments.models import Payment\n", 1),
        ("import modules.payments.models\n", 1),
        ("import modules.payments.models as rows\n", 1),
        ("from ..payments.models import Payment\n", 1),
        ("from ..payments import models\n", 1),
        ("from modules.payments.models import *\n", 1),
        ("def charge():\n    from modules.payments import models\n", 2),
        ("import typing\nif typing.TYPE_CHECKING:\n    from modules.payments.models import Payment\n", 3),
        ("try:\n    import modules.payments.models\nexcept ImportError:\n    pass\n", 2),
        ("from modules.payments.models import (\n    Payment,\n)\n", 1),
    ],
)
def test_an_import_of_another_module_is_found_in_every_form(checkout: Checkout, form: str, line: int) -> None:
    checkout.write({SERVICE: form})
    assert of(checkout) == [f"{SERVICE}:{line} E101 orders → payments: imports modules.payments.models"]


def test_every_statement_is_told_with_its_line(checkout: Checkout) -> None:
    checkout.write({SERVICE: "import modules.payments.models\n\ndef f():\n    import modules.payments.models\n"})
    assert [found.line for found in findings(checkout.house())] == [1, 4]


def test_a_module_may_import_its_own_files_the_published_language_and_what_is_nobodys(checkout: Checkout) -> None:
    checkout.write(
        {
            SERVICE: """
                import json
                import django.db
                import helper
                import modules
                from contracts import orders, payments
                from modules.orders import models
                from . import models
            """,
            "modules/orders/models.py": "",
            "helper.py": "import json\nimport contracts.payments\n",
        }
    )
    assert of(checkout) == []


def test_an_import_through_helpers_is_told_with_the_whole_way(checkout: Checkout) -> None:
    checkout.write(
        {
            SERVICE: "import json\nfrom tools import money\n",
            "tools/__init__.py": "",
            "tools/money.py": "\nfrom tools.rows import total\n",
            "tools/rows.py": "from modules.payments.models import Payment\n",
        }
    )
    (found,) = findings(checkout.house())
    assert shown(found) == f"{SERVICE}:2 E102 orders → payments: reaches payments through tools.money"
    assert found.what.splitlines()[1] == (f"{SERVICE}:2 → tools/money.py:2 → tools/rows.py:1 → modules.payments.models")


@pytest.mark.parametrize("helper", ["helper.py", "modules/helper.py", "modules/__init__.py", "lib/helper.py"])
def test_a_helper_may_stand_anywhere_beside_the_modules(checkout: Checkout, helper: str) -> None:
    name = helper.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
    checkout.write({"lib/__init__.py": "", helper: "import modules.payments.models\n", SERVICE: f"import {name}\n"})
    assert of(checkout) == [f"{SERVICE}:1 E102 orders → payments: reaches payments through {name}"]


def test_helpers_that_know_each_other_do_not_hide_where_they_lead(checkout: Checkout) -> None:
    checkout.write(
        {
            SERVICE: "import a\n",
            "a.py": "import b\n",
            "b.py": "import a\nimport c\n",
            "c.py": "import b\nimport modules.payments.models\n",
        }
    )
    assert of(checkout) == [f"{SERVICE}:1 E102 orders → payments: reaches payments through a"]


def test_what_composes_the_modules_may_know_them_all(checkout: Checkout) -> None:
    checkout.write(
        {"shop/__init__.py": "", "shop/wiring.py": "import modules.orders.service, modules.payments.models\n"}
    )
    assert of(checkout) == []
    checkout.write({SERVICE: "import shop.wiring\n"})
    assert of(checkout) == [f"{SERVICE}:1 E102 orders → payments: reaches payments through shop.wiring"]


@pytest.mark.parametrize(
    "file",
    [
        "modules/orders/scripts/fix.py",
        "modules/orders/scripts/old/fix.py",
        "modules/orders/scripts/old/__init__.py",
        "modules/orders/one-off/0001_fix.py",
        "modules/orders/link/fix.py",
    ],
)
def test_a_folder_without_an_init_file_hides_nothing(checkout: Checkout, file: str) -> None:
    checkout.write({"elsewhere/there": ""})
    (checkout.root / "modules/orders/link").symlink_to(checkout.root / "elsewhere")
    checkout.write({file: "import modules.payments.models\n"})
    assert of(checkout) == [f"{file}:1 E101 orders → payments: imports modules.payments.models"]


def test_a_module_without_an_init_file_is_reached_like_any_other(checkout: Checkout) -> None:
    (checkout.root / "modules/payments/__init__.py").unlink()
    (checkout.root / "modules/__init__.py").unlink()
    checkout.write({SERVICE: "import modules.payments\nfrom modules import payments\nfrom ..payments import models\n"})
    assert of(checkout) == [
        *(f"{SERVICE}:{line} E101 orders → payments: imports modules.payments" for line in (1, 2)),
        f"{SERVICE}:3 E101 orders → payments: imports modules.payments.models",
    ]


@pytest.mark.parametrize("helper", ["tools/money.py", "lib/tools/money.py", "lib/tools/__init__.py"])
def test_a_helper_may_stand_in_a_folder_without_an_init_file(checkout: Checkout, helper: str) -> None:
    name = helper.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
    checkout.write({helper: "import modules.payments.models\n", SERVICE: f"import {name}\n"})
    assert of(checkout) == [f"{SERVICE}:1 E102 orders → payments: reaches payments through {name}"]


def test_folders_of_no_python_and_virtual_environments_are_no_helpers(checkout: Checkout) -> None:
    checkout.write(dict.fromkeys(("venv/pyvenv.cfg", "venv/bin/activate.py", "media/a/b/c.py", "static/a.js"), ""))
    assert packages_of(checkout.house()) == ["contracts", "modules"]


def test_a_way_through_a_third_module_is_that_ones_breach(checkout: Checkout) -> None:
    checkout.write(
        {SERVICE: "import modules.users.models\n", "modules/users/models.py": "import modules.payments.models\n"}
    )
    assert of(checkout) == [
        f"{SERVICE}:1 E101 orders → users: imports modules.users.models",
        "modules/users/models.py:1 E101 users → payments: imports modules.payments.models",
    ]


def test_a_module_inside_another_is_its_own(checkout: Checkout) -> None:
    checkout.write(
        {SERVICE: "import modules.orders.lines.x\n", "modules/orders/lines/x.py": "from .. import service\n"}
    )
    house = house_at(checkout.root, modules={"orders": "modules.orders", "lines": "modules.orders.lines"})
    assert [shown(found) for found in findings(house)] == [
        "modules/orders/lines/x.py:1 E101 lines → orders: imports modules.orders.service",
        f"{SERVICE}:1 E101 orders → lines: imports modules.orders.lines.x",
    ]


def test_a_published_file_knows_plain_values_alone(checkout: Checkout) -> None:
    checkout.write(
        {
            "contracts/payments.py": """\
                import typing
                from uuid import UUID
                import msgspec
                from contracts.orders import Order
                from contracts import orders
                from django.db import models
                from modules.payments.models import Payment
                from contracts.runtime import calls
                if typing.TYPE_CHECKING:
                    import shop
            """,
            "contracts/runtime/__init__.py": "",
            "contracts/runtime/calls.py": "import django\n",
            "shop/__init__.py": "",
        }
    )
    said = "into the published language"
    assert of(checkout) == [
        f"contracts/payments.py:10 E103 contracts.payments → shop: imports shop {said}",
        f"contracts/payments.py:6 E103 contracts.payments → django: imports django {said}",
        f"contracts/payments.py:7 E103 contracts.payments → payments: imports modules.payments.models {said}",
        f"contracts/payments.py:8 E103 contracts.payments → contracts: imports contracts.runtime.calls {said}",
    ]


def test_a_module_may_publish_a_package_of_its_own(checkout: Checkout) -> None:
    checkout.write(
        {
            SERVICE: "import modules.payments.public\n",
            "modules/payments/public.py": "import json\nimport modules.payments.models\n",
        }
    )
    house = house_at(checkout.root, modules=MODULES, published=["modules.payments.public"])
    assert [shown(found) for found in findings(house)] == [
        "modules/payments/public.py:2 E103 modules.payments.public → payments: imports modules.payments.models into "
        "the published language"
    ]


LINTED = """
[tool.importlinter]
root_packages = ["modules", "contracts"]

[[tool.importlinter.contracts]]
name = "Modules do not know each other"
type = "independence"
modules = ["modules.*"]

[[tool.importlinter.contracts]]
name = "A service knows no views"
type = "layers"
containers = ["modules.orders"]
layers = ["views", "service"]
exhaustive = true
"""


def test_a_contract_of_import_linter_is_held_and_what_is_known_is_not_told_again(checkout: Checkout) -> None:
    checkout.write(
        {
            "pyproject.toml": LINTED,
            "modules/orders/views.py": "",
            SERVICE: "import modules.payments.models\nfrom modules.orders import views\n",
        }
    )
    assert of(checkout) == [
        f"{SERVICE}:1 E101 orders → payments: imports modules.payments.models",
        f'{SERVICE}:2 E104 orders → orders: breaks "A service knows no views": modules.orders.service reaches '
        "modules.orders.views",
    ]


def test_an_exception_in_a_contract_of_import_linter_is_none_of_the_boundary(checkout: Checkout) -> None:
    pattern = '"modules.*"]\n'
    ignored = f'{pattern}ignore_imports = ["modules.orders.service -> modules.payments.models"]\n'
    checkout.write(
        {
            "pyproject.toml": LINTED.replace(pattern, ignored),
            "modules/orders/views.py": "",
            SERVICE: "import modules.payments.models\n",
        }
    )
    assert of(checkout) == [f"{SERVICE}:1 E101 orders → payments: imports modules.payments.models"]
    checkout.write({SERVICE: ""})
    (found,) = findings(checkout.house())
    assert "cannot be held: No matches for ignored import" in found.what


def test_import_linter_sees_the_packages_that_the_project_names_to_it(checkout: Checkout) -> None:
    checkout.write(
        {
            "pyproject.toml": LINTED,
            "modules/orders/views.py": "",
            SERVICE: "import tools\n",
            "tools.py": "import modules.orders.views\n",
        }
    )
    assert of(checkout) == []
    named = LINTED.replace('"contracts"]', '"contracts", "tools"]')
    checkout.write({"pyproject.toml": named, "tools.py": "", "tools/__init__.py": "import modules.orders.views\n"})
    (checkout.root / "tools.py").unlink()
    assert [found.code for found in findings(checkout.house())] == ["boundaries.E104"]


def test_a_file_on_no_layer_breaks_an_exhaustive_contract_there(checkout: Checkout) -> None:
    checkout.write({"pyproject.toml": LINTED, "modules/orders/views.py": "", "modules/orders/stray.py": ""})
    assert of(checkout) == [
        'modules/orders/stray.py:1 E104 orders → : breaks "A service knows no views": modules.orders.stray is on none '
        "of its layers"
    ]


def test_a_contract_that_cannot_be_held_is_a_finding_where_it_stands(checkout: Checkout) -> None:
    checkout.write({"pyproject.toml": LINTED})  # there are no views
    (found,) = findings(checkout.house())
    assert (found.place, found.code) == ("pyproject.toml:11", "boundaries.E104")
    assert "views" in found.what
    checkout.write({"pyproject.toml": "[tool.importlinter"})
    (found,) = findings(checkout.house())
    assert found.path == "pyproject.toml"
    assert "cannot be read" in found.what


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('root_packages = ["modules", "nowhere"]', "Could not find package 'nowhere'"),
        ('root_packages = ["modules", "nowhere.at.all"]', "No module named 'nowhere'"),
        ('root_packages = ["sys"]', "AssertionError"),
        ('root_packages = ["modules"]\ncontract_types = ["own"]', "length 1; 2 is required"),
    ],
)
def test_contracts_that_cannot_be_held_are_a_finding(checkout: Checkout, said: str, why: str) -> None:
    linted = LINTED.replace('root_packages = ["modules", "contracts"]', said)
    checkout.write({"pyproject.toml": linted, SERVICE: "import modules.payments.models\n"})
    told, found = sorted(findings(checkout.house()), key=lambda found: found.code, reverse=True)
    assert (told.path, told.code, found.code) == ("pyproject.toml", "boundaries.E104", "boundaries.E101")
    assert "has contracts that cannot be held: " in told.what
    assert why in told.what


def test_a_syntax_error_is_told_and_the_other_files_are_read(checkout: Checkout) -> None:
    checkout.write(
        {
            SERVICE: "import modules.payments.models\nimport modules.payments.broken\n",
            "modules/payments/broken.py": "x = 1\ndef f(:\n",
            "modules/orders/latin.py": b"name = 'caf\xe9'\n",
        }
    )
    assert of(checkout) == [
        "modules/orders/latin.py E001 orders → : cannot be read: not UTF-8 (invalid utf-8 sequence of 1 bytes from "
        "index 11); what it imports is not known",
        f"{SERVICE}:1 E101 orders → payments: imports modules.payments.models",
        f"{SERVICE}:2 E101 orders → payments: imports modules.payments.broken",
        "modules/payments/broken.py:2 E001 payments → : cannot be read: a syntax error; what it imports is not known",
    ]


def test_what_cannot_be_read_is_told_where_a_module_has_it_or_leads_to_it(checkout: Checkout) -> None:
    broken = "def f(:\n"
    checkout.write(
        {
            SERVICE: "import helper\n",
            "helper.py": "import tools.leads\n",
            "tools/leads.py": broken,
            "tools/script.py": broken,
            "template.py": broken,
            "contracts/payments.py": broken,
        }
    )
    said = "cannot be read: a syntax error; what it imports is not known"
    assert of(checkout) == [f"contracts/payments.py:1 E001  → : {said}", f"tools/leads.py:1 E001  → : {said}"]


def test_many_files_that_cannot_be_read_hide_nothing_of_the_others(checkout: Checkout, tmp_path: Path) -> None:
    names = [f"modules/orders/broken_{number}.py" for number in range(200)]
    checkout.write(dict.fromkeys(names, "def f(:\n") | {SERVICE: "import modules.payments.models\n"})
    for _ in ("read", "kept"):
        found = of(checkout, tmp_path / "kept")
        assert f"{SERVICE}:1 E101 orders → payments: imports modules.payments.models" in found
        assert len(found) == 1 + len(names)


@pytest.mark.parametrize(
    ("name", "said", "why"),
    [
        ("odd.py", b"# coding: undefined\n", "(unknown encoding 'undefined')"),
        ("odd.py", b"i\0m\0p\0", "a syntax error"),
        ("odd/__init__.py", b"", "odd.py stands beside this package of the same name; delete one of them"),
        (os.fsdecode(b"od\xff.py"), b"", "its name is not UTF-8; rename it"),
    ],
)
def test_why_a_file_cannot_be_read_is_told(checkout: Checkout, name: str, said: bytes, why: str) -> None:
    checkout.write({"modules/orders/odd.py": "", f"modules/orders/{name}": said})
    (found,) = findings(checkout.house())
    assert (found.path, found.code, found.what) == (
        f"modules/orders/{name}",
        "boundaries.E001",
        f"cannot be read: {why}; what it imports is not known",
    )


@pytest.mark.skipif(sys.platform != "linux", reason="a file that nobody may read, whoever runs the tests")
def test_a_file_that_may_not_be_read_is_told(checkout: Checkout) -> None:
    (checkout.root / "modules/orders/odd.py").symlink_to("/proc/self/mem")
    assert of(checkout) == [
        "modules/orders/odd.py E001 orders → : cannot be read: Input/output error (os error 5); what it imports is not "
        "known"
    ]


def test_what_is_no_file_is_none(checkout: Checkout) -> None:
    orders = checkout.root / "modules" / "orders"
    (orders / "gone.py").symlink_to("nowhere.py")
    (orders / "round.py").symlink_to("round.py")
    (orders / "loop").symlink_to(orders)
    (orders / "other").symlink_to(orders.parent / "users")
    (orders.parent / "users" / "back").symlink_to(orders)
    (orders / "folder.py").mkdir()
    os.mkfifo(orders / "pipe.py")
    checkout.write({"modules/orders/data.v2.py": "import", "modules/orders/empty.py": "", "modules/orders/a\nb.py": ""})
    assert of(checkout) == []
    checkout.write({SERVICE: "import modules.payments.models\n"})
    assert [line.partition(":")[0] for line in of(checkout)] == [SERVICE, "modules/users/back/service.py"]


def test_a_file_that_goes_away_while_it_is_read_is_done_without(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = Kept.setup

    def lose(self: Kept, **asked: Any) -> Kept:
        (checkout.root / "modules/users/__init__.py").unlink(missing_ok=True)
        return setup(self, **asked)

    monkeypatch.setattr(Kept, "setup", lose)
    checkout.write({SERVICE: "import modules.payments.models\n"})
    assert len(of(checkout)) == 1


def test_syntax_that_this_python_does_not_know_is_read(checkout: Checkout) -> None:
    newer = "type Pair[T] = tuple[T, T]\ndef f[T](x: T) -> str:\n    return f'{x!r:{'>'}{10}} {'a' 'b'}'\n"
    with pytest.raises(SyntaxError):
        compile(newer, "newer", "exec")
    checkout.write({SERVICE: newer + "from modules.payments import models\n"})
    assert of(checkout) == [f"{SERVICE}:4 E101 orders → payments: imports modules.payments.models"]


def test_what_this_process_imported_under_the_same_name_is_not_looked_at(checkout: Checkout) -> None:
    assert "modules.orders" in sys.modules, "the shop's own, which stands elsewhere"
    checkout.write({SERVICE: "import modules.payments.models\n"})
    assert of(checkout) == [f"{SERVICE}:1 E101 orders → payments: imports modules.payments.models"]
    finders = settings.PACKAGE_FINDER, settings.MODULE_FINDER
    assert list(findings(house_of_project())) == [], "and afterwards the shop's is"
    assert finders == (settings.PACKAGE_FINDER, settings.MODULE_FINDER)


def test_what_was_kept_is_read_again_after_a_change(checkout: Checkout, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert of(checkout, kept) == []
    checkout.write({SERVICE: "import modules.payments.models\n"})
    assert len(of(checkout, kept)) == 1
    before = (checkout.root / SERVICE).stat()
    checkout.write({SERVICE: "import modules.users\n"})
    os.utime(checkout.root / SERVICE, ns=(before.st_atime_ns, before.st_mtime_ns))  # as `cp -p` and rsync do
    assert of(checkout, kept) == [f"{SERVICE}:1 E101 orders → users: imports modules.users"]
    checkout.write({"beside.py": "", SERVICE: "\n"})  # other packages, so other files in the cache
    assert of(checkout, kept) == []
    (checkout.root / "beside.py").unlink()
    assert of(checkout, kept) == [], "what was kept before `beside` was there is not taken for new"
    assert any(kept.iterdir())


def test_what_was_kept_holds_for_the_files_that_there_were(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout.write({SERVICE: "from tools import money\n", "tools/__init__.py": "money = 1\n"})
    assert of(checkout, tmp_path / "kept") == []
    checkout.write({"tools/money.py": "import modules.payments.models\n"})
    led = [f"{SERVICE}:1 E102 orders → payments: reaches payments through tools.money"]
    assert of(checkout, tmp_path / "kept") == led
    monkeypatch.delattr(usecases, "scan_imports")
    assert of(checkout, tmp_path / "kept") == led, "and is not read again"
    assert len(list((tmp_path / "kept").iterdir())) == 1


@pytest.mark.parametrize("torn", [b"", b"\xff\xfe", b"[1]", b"5", b"[" * 100_000])
def test_what_was_kept_and_is_torn_is_read_anew(checkout: Checkout, tmp_path: Path, torn: bytes) -> None:
    checkout.write({SERVICE: "import modules.payments.models\n"})
    found = of(checkout, tmp_path / "kept")
    for _ in ("torn", "mended"):
        assert of(checkout, tmp_path / "kept") == found
        for kept in (tmp_path / "kept").rglob("*.json"):
            kept.write_bytes(torn)


def test_a_cache_that_cannot_be_written_is_done_without(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checkout.write({SERVICE: "import modules.payments.models\n"})
    assert len(of(checkout, tmp_path / "file" / "kept")) == 1


def test_without_grimp_it_says_what_to_install(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grimp", None)
    for name in ("import_graph", "linter"):
        monkeypatch.delitem(sys.modules, f"extraction.boundaries.{name}", raising=False)
        monkeypatch.delattr(f"extraction.boundaries.{name}", raising=False)
    with pytest.raises(Skipped, match=r"grimp is not installed\. Type: pip install import-linter"):
        list(findings(checkout.house()))


def test_the_shop_has_none() -> None:
    assert [shown(found) for found in findings(house_of_project())] == []
