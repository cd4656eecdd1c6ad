"""Imports by name, strings, attribute chains, code that cannot be followed, models from the registry."""

import pytest

from tests.boundaries.source.looking import Look, codes


@pytest.mark.parametrize(
    "source",
    [
        'import importlib\nimportlib.import_module("shop.payments.models")',
        'import importlib as il\nil.import_module("shop.payments")',
        'from importlib import import_module as im\nim("shop.payments")',
        'import_module(name="shop.payments")',
        'NAME = "shop.payments"\nimport_module(NAME)',
        'def f():\n    name: str = "shop.payments"\n    import_module(name)',
        'import_module("shop." "pay" "ments")',
        'import_module("shop" + ".payments")',
        'BASE = "shop"\nimport_module(BASE + ".payments")',
        'BASE = "shop"\nimport_module(f"{BASE}.payments")',
        'import_module(f"shop.payments.{name}")',
        'import_module("shop.payments.%s" % name)',
        'import_module("shop.payments.{}".format(name))',
        'import_module(".payments", "shop")',
        'import_module("..payments", package=__package__)',
        'class Loader:\n    NAME = "shop.payments"\n\n    def load(self):\n        return import_module(self.NAME)',
        'def _name():\n    return "shop.payments"\n\n\nimport_module(_name())',
        '__import__("shop.payments.models")',
        '__import__("shop", fromlist=["payments"])',
        'import sys\nsys.modules["shop.payments"]',
        'from sys import modules as loaded\nloaded["shop.payments"]',
        'import sys\nsys.modules.get("shop.payments.models")',
        'from pydoc import locate\nlocate("shop.payments.models.Payment")',
        'import runpy\nrunpy.run_module("shop.payments.service")',
        'from importlib.util import find_spec\nfind_spec("shop.payments")',
        'import pkgutil\npkgutil.resolve_name("shop.payments.models:Payment")',
        'import importlib\nload = importlib.import_module\nload("shop.payments")',
        'from importlib import import_module\nload = None\nload = import_module\nload("shop.payments")',
        'from importlib import import_module\n(load := import_module)("shop.payments")',
        'import importlib\nload, most = importlib.import_module, 1\nload("shop.payments")',
        'import importlib\ngetattr(importlib, "import_" "module")("shop.payments")',
        '__builtins__["__import__"]("shop.payments")',
        'import builtins\nvars(builtins)["__import__"]("shop.payments")',
        'import sys\nloaded = sys.modules\nloaded["shop.payments"]',
        'import sys\ngetattr(sys, "modules")["shop.payments"]',
    ],
)
def test_an_import_by_name_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E201"]


@pytest.mark.parametrize(
    "source",
    [
        'import_module("shop.orders.models")',
        'import_module(".models", "shop.orders")',
        'import_module(".models", __package__)',
        'import_module("json")',
        'import_module(f"shop.orders.providers.{name}")',
        'import_module(f"{__package__}.providers.{name}")',
        'import_module(__name__ + ".providers")',
        "# import_module('shop.payments')",
        'def f():\n    """import_module("shop.payments")"""',
        "import sys\nsys.modules[__name__]",
        "import sys\nsys.modules[type(self).__module__]",
        "self.import_module(name)",
        "def import_module(name): ...\n\n\nimport_module(name)",
        "def f(import_module):\n    import_module(name)",
        'import builtins\nvars(builtins)["len"](name)',
        "from importlib.util import find_spec\nhas = find_spec\nhas(name)",
    ],
)
def test_an_import_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    "source",
    [
        "import_module(name)",
        "import_module(*names)",
        "from importlib import import_module as im\nim(name)",
        "__import__(name)",
        "import_string(path)",
        'import_module(f"{package}.models")',
        'for name in ("shop.a", "shop.b"):\n    import_module(name)',
        'NAME = "json"\ndef f(NAME):\n    import_module(NAME)',
        "exec(text)",
        "eval('1 + 1')",
        "import builtins\nbuiltins.exec(text)",
        "import sys\nsys.modules[name]",
        "from importlib import *\nimport_module(name)",
        'for name in ("payments",):\n    import_module(f"shop.{name}.models")',
        "import importlib\nload = importlib.import_module\nload(name)",
        "run = exec\nrun(text)",
        "code = compile(text, '', 'exec')",
        "exec(compile(text, '', 'exec'))",
        'import builtins\ngetattr(builtins, "exec")(text)',
        "from importlib.machinery import SourceFileLoader\nSourceFileLoader('x', str(path)).load_module()",
        "import runpy\nrunpy.run_path(path)",
        "from importlib import import_module\nload = partial(import_module, package='shop')",
        "from importlib import import_module\nlist(map(import_module, names))",
        "from importlib import import_module\nself.load = import_module",
        "def f(run=exec):\n    run(text)",
        "def f():\n    run = exec\n    return run",
        "from django.conf import settings\npath = path or settings.ORDERS_BACKEND\nimport_string(path)",
        "name = name.strip()\nimport_module(name)",
        'name = name["x"]\nimport_module(name)',
        "for name in name.split():\n    import_module(name)",
        "a = b.x\nb = a.x\nimport_module(a)",
    ],
)
def test_code_that_nobody_can_follow_is_found(look: Look, source: str) -> None:
    [found] = look(source)
    assert (found.code, found.other) == ("boundaries.E203", "")


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "from geo import locate\nlocate(point)",
        "import importlib\nimport_module = importlib.import_module\nimport_module('json')",
        "from geo import locate\nlist(map(locate, points))",
        "from numexpr import eval\neval(text)",
        "def exec(text): ...\n\n\nexec(text)",
        "def f(eval):\n    eval(1)",
        "session.exec(query)",
        "text = 'exec(x)'",
        "def f(run, eval=None):\n    run(eval, exec=1)",
        "re.compile(text)",
        '@patch.object(importlib, "import_module")\ndef test(): ...',
        "from django.conf import settings\nfrom x import import_string\nlist(map(import_string, settings.PLUGINS))",
        "from django.conf import settings\nimport_string(settings.ORDERS_BACKEND)",
        'from django.conf import settings\nimport_string(settings.ORDERS["backend"])',
        'from django.conf import settings\nimport_string(settings.ORDERS.get("backend") or DEFAULT)\nDEFAULT = "a.b"',
        "from django.conf import settings\nfor path in settings.PLUGINS:\n    import_string(path)",
        "from django.conf import settings\nplugins = [import_string(path) for path in settings.PLUGINS]",
        'from django.conf import settings\npath = getattr(settings, "ORDERS_BACKEND", None)\nimport_string(path)',
    ],
)
def test_what_only_looks_as_if_nobody_could_follow_it_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    "source",
    [
        'from django.utils.module_loading import import_string\nimport_string("shop.payments.models.Payment")',
        'path = "shop.payments.models.Payment"',
        'SERVICES = ["shop.payments.service"]',
        'SERVICES = {"charge": "shop.payments.service:charge"}',
        '@patch("shop.payments.service.charge")\ndef test(): ...',
        'PATH = "shop.pay" "ments.service.charge"',
        'PATH = "shop." + "payments.service"',
        'PATH = f"shop.payments.service.{name}"',
        'def f(payment: "shop.payments.models.Payment"): ...',
        'apps.is_installed("shop.payments")',
        'spec_from_file_location("payments", "shop/payments/models.py")',
    ],
)
def test_a_string_that_names_another_module_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E202"]


@pytest.mark.parametrize(
    "source",
    [
        '"""shop.payments.models"""',
        'def f():\n    "shop.payments.models.Payment"',
        "# shop.payments.models",
        'log.info("shop.payments.service")',
        'logging.getLogger("shop.payments.service")',
        'raise ValueError("ask shop.payments.service for it")',
        'path = "shop.payments.nothing"',
        'path = "shop.payments.models.NoSuchThing"',
        'path = "payments.Payment"',
        'path = "shop.orders.models.Order"',
        'path = "shop.payments_archive.models"',
        'path = "payments/"',
        'path = "shop/payments/"',
        f'path = "shop/payments/{"x" * 5000}.py"',
        'name = "payments"',
    ],
)
def test_a_string_that_only_looks_like_another_module_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import shop\nshop.payments.models.Payment()", "reaches shop.payments.models.Payment"),
        ("import shop as s\ns.payments", "reaches s.payments"),
        ("import shop.orders.models\nshop.payments.service.charge()", "reaches shop.payments.service.charge"),
        ('import shop\ngetattr(shop, "payments")', 'calls getattr(shop, "payments")'),
        ('import_module("shop").payments', 'reaches import_module("shop").payments'),
        ('pkg = import_module("shop")\npkg.payments.models', "reaches pkg.payments.models"),
        ('__import__("shop.orders").payments', 'reaches __import__("shop.orders").payments'),
        ('import sys\nsys.modules["shop"].payments', 'reaches sys.modules["shop"].payments'),
        ("import shop\ns = shop\ns.payments.models", "reaches s.payments.models"),
        ("pkg, most = import_module('shop'), 1\npkg.payments", "reaches pkg.payments"),
        ('import shop\nshop.__dict__["payments"].models', 'reaches shop.__dict__["payments"].models'),
        ('import shop\nvars(shop)["payments"]', 'reaches vars(shop)["payments"]'),
        ('import shop\nattrgetter("payments.models")(shop)', 'calls attrgetter("payments.models")(shop)'),
    ],
)
def test_another_module_through_its_parent_package_is_found(look: Look, source: str, what: str) -> None:
    [found] = look(source)
    assert (found.code, found.other, found.what) == ("boundaries.E204", "payments", what)


@pytest.mark.parametrize(
    "source",
    [
        "import shop.orders as o\no.payments",
        "import shop\nshop.orders.models.Order()",
        "import shop.payments\nshop.payments.models",
        "shop.payments.models",
        "import shop\nself.shop.payments",
        "import shop\nf(shop=1, payments=2)",
        "import shop\ndef f(shop):\n    shop.payments",
        "import shop\nvars(shop)[name]",
    ],
)
def test_a_chain_that_does_not_leave_the_module_is_none(look: Look, source: str) -> None:
    """`import shop.payments` is found as an import, where it stands."""
    assert not look(source)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (
            "from django.apps import apps\napps.get_model('payments.Payment')",
            "calls apps.get_model('payments.Payment')",
        ),
        ('apps.get_model("payments", "Payment")', 'calls apps.get_model("payments", "Payment")'),
        (
            'apps.get_model(app_label="payments", model_name="Payment")',
            'calls apps.get_model(app_label="payments", model_name="Payment")',
        ),
        ('from django.apps.apps import get_model as g\ng("payments.Payment")', 'calls g("payments.Payment")'),
        ('apps.get_model(f"payments.{name}")', 'calls apps.get_model(f"payments.{name}")'),
        ('LABEL = "payments"\napps.get_model(LABEL, "Payment")', 'calls apps.get_model(LABEL, "Payment")'),
        ('apps.get_app_config("payments")', 'calls apps.get_app_config("payments")'),
        ('apps.all_models["payments"]', 'takes apps.all_models["payments"]'),
        (
            'ContentType.objects.get(app_label="payments", model="payment")',
            'calls ContentType.objects.get(app_label="payments", model="payment")',
        ),
        ('class P:\n    class Meta:\n        app_label = "payments"', 'says app_label = "payments"'),
        (
            'def forward(registry, schema_editor):\n    registry.get_model("payments", "Gone")',
            'calls registry.get_model("payments", "Gone")',
        ),
        (
            'def f(models):\n    models.get_model("payments", "Payment")',
            'calls models.get_model("payments", "Payment")',
        ),
        (
            '[m for m in apps.get_models() if m._meta.label == "payments.Payment"]',
            'compares m._meta.label == "payments.Payment"',
        ),
        ('if model._meta.app_label in ("payments", "x"): ...', 'compares model._meta.app_label in ("payments", "x")'),
        ('resolve("payments.Payment")', 'calls resolve("payments.Payment")'),
        ('apps.get_model(label or "payments.Payment")', 'calls apps.get_model(label or "payments.Payment")'),
        ('if sender.__name__ != "Payment": ...', 'compares sender.__name__ != "Payment"'),
        ('if m._meta.model_name == "payment": ...', 'compares m._meta.model_name == "payment"'),
        ('if m._meta.db_table == "payments_payment": ...', 'compares m._meta.db_table == "payments_payment"'),
        ('W = {"payments.Payment"}\nif m._meta.label in W: ...', "compares m._meta.label in W"),
        ('label = m._meta.app_label\nif label == "payments": ...', 'compares label == "payments"'),
        ('match m._meta.label_lower:\n    case "payments.payment" | "x.y": ...', "compares m._meta.label_lower"),
    ],
)
def test_a_model_from_the_registry_is_found(look: Look, source: str, what: str) -> None:
    [found] = look(source)
    assert (found.code, found.other, found.what) == ("boundaries.E205", "payments", what)


@pytest.mark.parametrize(
    "source",
    [
        'apps.get_model("orders.Order")',
        "apps.get_model(label)",
        'apps.get_model("auth", "User")',
        'ForeignKey("payments.Payment", CASCADE)',
        'ManyToManyField(to="payments.Payment")',
        'ml.get_model("payments")',
        'self.get_model("payments", "small")',
        'all_models = {}\nall_models["payments"]',
        'log.info("payments.Payment")',
        'cast("payments.Payment", row)',
        'raise LookupError("payments.Payment")',
        'hear("payments.payment_captured.v1")',
        'if field.label == "payments": ...',
        'if cls.__name__ == "Payment": ...',
        'if m._meta.model_name == "order": ...',
        'if kind == "payment": ...',
        'W = {"payments.Payment"}\nW = W',
        'match kind:\n    case "payments": ...',
    ],
)
def test_a_model_of_its_own_or_of_no_module_is_none(look: Look, source: str) -> None:
    """A relation by name is the checks' to report."""
    assert not look(source)
