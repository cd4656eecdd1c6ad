"""URLs, commands, settings, caches, tasks and databases of another module."""

from pathlib import Path

import pytest

from extraction.boundaries.house import House, Member
from extraction.boundaries.source import findings
from tests.boundaries.source.looking import Look, codes


@pytest.mark.parametrize(
    "source",
    [
        'reverse("payments:index")',
        'from django.urls import reverse as r\nr("payments:index", args=[1])',
        'from django import urls\nurls.reverse_lazy("payments:index")',
        'redirect("payments:index")',
        'redirect(to="payments:index")',
        'resolve_url("api:payments:index")',
        'NAME = "payments:index"\nreverse(NAME)',
        'reverse(f"payments:{name}")',
        'reverse("admin:payments_payment_changelist")',
        'reverse("payment-list")',
        'HyperlinkedIdentityField(view_name="payments:index")',
        'class V:\n    pattern_name = "payments:index"',
        'class V:\n    extra_kwargs = {"url": {"view_name": "payment-list"}}',
        '@login_required(login_url="payments:index")\ndef view(): ...',
        'redirect("payments:index" if x else "orders:index")',
        'def f(n=None):\n    n = n or "payments:index"\n    reverse(n)',
        '[reverse(n) for n in ("payments:index",)]',
    ],
)
def test_a_url_of_another_module_is_found(look: Look, source: str) -> None:
    [found] = look(source)
    assert (found.code, found.other) == ("boundaries.E206", "payments")


@pytest.mark.parametrize(
    "source",
    [
        'reverse("orders:index")',
        'reverse("admin:orders_order_changelist")',
        'reverse("admin:index")',
        'reverse("index")',
        'reverse("orders:payments:index")',
        "values.reverse()",
        'redirect("/payments/")',
        'login_required(login_url="/payments/")',
        'HyperlinkedIdentityField(view_name="orders:index")',
        'f(name="payments:index")',
        'reverse("orders:index" if x == "payments:index" else "orders:list")',
        "for n in n or n:\n    reverse(n)",
    ],
)
def test_a_url_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("path", "conf"),
    [
        ("shop/urls.py", 'path("", include(("shop.payments.urls", "billing"), namespace="pay"))'),
        ("shop/urls.py", 'path("", include("shop.payments.urls", namespace="pay"))'),
        ("urls.py", 'path("", include(\n    ("shop.payments.urls", "pay"),\n))'),
        ("shop/payments/management/urls.py", 'path("", include("shop.payments.api.urls", namespace="pay"))'),
    ],
)
def test_a_namespace_that_an_include_gives_is_the_included_ones(look: Look, street: Path, path: str, conf: str) -> None:
    (street / path).write_text(conf)
    try:
        [found] = look('reverse("pay:index")')
        assert (found.code, found.other) == ("boundaries.E206", "payments")
        (street / path).write_text(f'{conf}\npath("", include("shop.orders.urls", namespace="pay"))')
        assert "E206" not in codes(look('reverse("pay:index")')), "two have it, so it is nobody's"
    finally:
        (street / path).unlink()


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ('router.register("payments", V)', ("payment-list", "payments-detail")),
        ('router.register(r"v1/payments", views.V, basename="payment")', ("payment-list", "payment-detail")),
        ("router.register('payments/', V)", ("payment-list", "payments-detail")),
        ('router.register("cards", V, "card")', ("card-detail",)),
        ("admin.site.register(Payment, V)", ()),
    ],
)
def test_names_that_a_router_gives_are_its_modules(tmp_path: Path, said: str, names: tuple[str, ...]) -> None:
    asked = ("payment-list", "payment-detail", "payments-detail", "card-detail")
    (tmp_path / "payments").mkdir()
    (tmp_path / "payments/urls.py").write_text(said)
    (tmp_path / "orders.py").write_text("".join(f'reverse("{name}")\n' for name in asked))
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in ("orders", "payments"))
    found = {asked[each.line - 1] for each in findings(House(tmp_path, members))}
    assert found >= set(names)
    assert bool(found) == bool(names)


@pytest.mark.parametrize(
    "source",
    [
        'call_command("charge")',
        'from django.core.management import call_command as run\nrun("charge", "--all")',
        'from django.core import management\nmanagement.call_command("charge")',
        'execute_from_command_line(["manage.py", "charge"])',
        'subprocess.run([sys.executable, "manage.py", "charge"])',
        'subprocess.run("python manage.py charge --all", shell=True)',
        'subprocess.check_call(["sh", "-c", f"cd {path} && ./manage.py charge"])',
        'os.system("django-admin charge")',
        'asyncio.create_subprocess_exec("python", "manage.py", "charge")',
        'call_command("charge" if x else "expire")',
        'subprocess.run([sys.executable, str(settings.BASE_DIR / "manage.py"), "charge"])',
        'MANAGE = Path(__file__).parent / "manage.py"\nsubprocess.run([sys.executable, MANAGE, "charge"])',
        'subprocess.run([sys.executable, "-m", "django", "charge"])',
    ],
)
def test_a_command_of_another_module_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E207"]


@pytest.mark.parametrize(
    "source",
    [
        'call_command("expire")',
        'call_command("migrate")',
        "call_command(name)",
        'os.system("python manage.py expire charge")',
        'os.system("charge")',
        'log.info("run manage.py charge")',
        'subprocess.run([BASE / "manage.py", "expire"])',
        'name = str(name)\nsubprocess.run([name, "charge", "django"])',
    ],
)
def test_a_command_of_its_own_or_of_django_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    "source",
    [
        '@permission_required("payments.view_payment")\ndef view(): ...',
        'user.has_perm("payments.add_payment")',
        'user.has_perms(["orders.add_order", "payments.add_payment"])',
        'class V:\n    permission_required = "payments.view_payment"',
        'class V:\n    permission_required = ("payments.view_payment",)',
        'ContentType.objects.get(app_label="payments", model="payment")',
    ],
)
def test_a_permission_on_another_modules_model_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E205"]


@pytest.mark.parametrize(
    "source",
    ['user.has_perm("orders.add_order")', 'publish("payments.captured")', 'user.has_perm("payments. All of it")'],
)
def test_a_permission_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("from django.conf import settings\nsettings.PAYMENTS_URL", "uses settings.PAYMENTS_URL"),
        ("from django.conf import settings as s\ns.PAYMENT_URL", "uses s.PAYMENT_URL"),
        ("from django import conf\nconf.settings.PAYMENTS", "uses conf.settings.PAYMENTS"),
        (
            'from django.conf import settings\ngetattr(settings, "PAYMENTS_URL", None)',
            'calls getattr(settings, "PAYMENTS_URL", None)',
        ),
        ("def test(settings):\n    settings.PAYMENT_URL = 1", "uses settings.PAYMENT_URL"),
        (
            "from django.conf import settings\nasync def test(settings):\n    settings.PAYMENT_URL = 1",
            "uses settings.PAYMENT_URL",
        ),
        ("@pytest.fixture\ndef url(settings):\n    settings.PAYMENT_URL = 1", "uses settings.PAYMENT_URL"),
        ("from django.conf import settings\nmine = settings\nmine.PAYMENT_URL", "uses mine.PAYMENT_URL"),
        ("@override_settings(PAYMENT_URL=1)\ndef test(): ...", "sets PAYMENT_URL"),
        ("from shop import settings as s\ns.PAYMENT_URL", "uses s.PAYMENT_URL"),
        ("from shop.settings import PAYMENT_URL", "imports PAYMENT_URL from shop.settings"),
    ],
)
def test_a_setting_of_another_module_is_found(look: Look, source: str, what: str) -> None:
    [found] = look(source)
    assert (found.code, found.other, found.what) == ("boundaries.E208", "payments", what)


@pytest.mark.parametrize(
    "source",
    [
        'os.environ["PAYMENTS_KEY"]',
        'env("PAYMENT_URL")',
        'config("PAYMENTS_KEY", default="")',
        'env.str("PAYMENTS_KEY")',
    ],
)
def test_a_variable_of_another_module_is_a_setting_of_it(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E208"]


@pytest.mark.parametrize(
    "source",
    [
        "from django.conf import settings\nsettings.ORDERS_URL",
        "from django.conf import settings\nsettings.ORDER_PAYMENT_DAYS",
        "from django.conf import settings\nsettings.PAYMENTSX",
        "from shop.orders import settings\nsettings.PAYMENTS_URL",
        "PAYMENT_DAYS = 3\nState.PAYMENT_DUE",
        'getattr(order, "PAYMENT_DUE")',
        "f(PAYMENT_URL=1)",
        "# settings.PAYMENTS_URL",
        "def f(settings):\n    settings.PAYMENT_URL",
        "from django.conf import settings\ndef f(settings):\n    settings.PAYMENT_URL",
        "settings = Settings()\nsettings.PAYMENT_URL",
        "with changed() as settings:\n    settings.PAYMENT_URL",
        "for settings in all_of_them:\n    settings.PAYMENT_URL",
    ],
)
def test_a_setting_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


def test_a_setting_that_begins_as_one_of_django_says_nothing_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(
        "from django.conf import settings\nsettings.EMAIL_HOST\nsettings.EMAIL_SENDER\n"
    )
    (tmp_path / "email.py").write_text("")
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in ("orders", "email"))
    assert not list(findings(House(tmp_path, members)))


CACHE = "from django.core.cache import cache\n"


def test_what_begins_with_the_longer_of_two_names_is_not_the_shorter_ones(tmp_path: Path) -> None:
    source = f"{CACHE}from django.conf import settings\nsettings.ORDER_ITEMS_MOST\ncache.get('order_items:1')\n"
    (tmp_path / "order_items.py").write_text(source)
    (tmp_path / "order.py").write_text(source)
    members = tuple(Member(name=name, packages=(name,), labels=(name,)) for name in ("order_items", "order"))
    assert [(each.module, each.other, each.line) for each in findings(House(tmp_path, members))] == [
        ("order", "order_items", 3),
        ("order", "order_items", 4),
    ]


@pytest.mark.parametrize(
    "source",
    [
        f'{CACHE}cache.get("payments:1")',
        f'{CACHE}cache.set(f"payments:{{id}}", 1)',
        f'{CACHE}cache.incr("payments.count")',
        f'{CACHE}cache.delete(key="payments/1")',
        f'{CACHE}KEY = "payments:1"\ncache.get(KEY)',
        f'{CACHE}cache.get("payments:%s" % id)',
        f'{CACHE}PREFIX = "payments"\ncache.get(f"{{PREFIX}}:{{id}}")',
        f'{CACHE}def _key(id):\n    return f"payments:{{id}}"\n\n\ncache.get(_key(1))',
        f'{CACHE}cache.get_many(["orders:1", "payments:1"])',
        f'{CACHE}shared = cache\nshared.get("payments:1")',
        f'{CACHE}def f():\n    store = get_cache("x")\n    store.get("payments:1")',
        'def f(cache):\n    cache.get("payments:1")',
        f'{CACHE}cache.set_many({{"payments:1": 1}})',
        'from django.core.cache import caches\ncaches["payments"].get("x")',
        'from django.core.cache import caches\nc = caches["default"]\nc.get("payments:1")',
        'from django.core.cache import caches\ncaches["default"].get("payments:1")',
        'cache_page(60, key_prefix="payments")(view)',
        f'{CACHE}cache.get("payment:1")',
        f'{CACHE}key = f"payments:{{x}}" if x else "orders:all"\ncache.get(key)',
        f'{CACHE}cache.get("orders:1" if x else "payments:all")',
        f'{CACHE}cache.delete_pattern("payments:*")',
        f'{CACHE}cache.keys(search="payment-*")',
        f'{CACHE}cache.ttl("payments:1")',
        f'{CACHE}cache.expire("payments:1", timeout=9)',
        f'{CACHE}list(cache.iter_keys("payments:*"))',
    ],
)
def test_a_cache_key_of_another_module_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E209"]


@pytest.mark.parametrize(
    "source",
    [
        f'{CACHE}cache.get("orders:payments:1")',
        f'{CACHE}cache.get("paymentsx:1")',
        f"{CACHE}cache.get(key)",
        f'{CACHE}cache.get("payment")',
        f'{CACHE}cache.get("order:payments:1")',
        f"{CACHE}cache.keys()",
        "def f(cache: dict[str, int]):\n    list(cache.keys())",
        f'{CACHE}request.headers.get("payments:1")',
        'cache = {}\ncache.get("payments:1")',
        f'{CACHE}def f():\n    cache = {{}}\n    cache.get("payments:1")',
        'class A:\n    def f(self):\n        self.cache = {}\n    def g(self):\n        self.cache.get("payments:1")',
        'def f(cache: dict[str, int]):\n    cache.get("payments:1")',
        'cache = LRUCache(9)\ncache.get("payments:1")',
        'cache = cache\ncache.get("payments:x")',
        'cache = old\nold = cache\nold = old\ncache.get("payments:x")',
        'from django.core.cache import caches\ncaches["orders"]',
    ],
)
def test_a_cache_key_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    "source",
    [
        'app.send_task("shop.payments.tasks.charge")',
        'current_app.send_task(name="payments.charge")',
        'NAME = "payments.charge"\napp.send_task(NAME)',
        'app.signature("payments.charge")',
        'from celery import signature as s\ns("payments.charge")',
        'chain(signature("orders.place"), signature("payments.charge"))',
        'app.tasks["payments.charge"].delay()',
        'schedule = {"nightly": {"task": "payments.charge"}}',
        'place.apply_async(link="payments.charge")',
        'for n in ("orders.x", "payments.charge"):\n    send_task(n)',
    ],
)
def test_a_task_of_another_module_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E214"]


@pytest.mark.parametrize(
    "source",
    [
        'app.send_task("orders.place")',
        'app.send_task("celery.ping")',
        "app.send_task(name)",
        "inspect.signature(f)",
        'Button(link="payments.html")',
    ],
)
def test_a_task_of_its_own_is_none(look: Look, source: str) -> None:
    assert not look(source)


@pytest.mark.parametrize(
    "source",
    [
        'with atomic(using="payments"): ...',
        '@transaction.atomic("payments")\ndef f(): ...',
        'Row.objects.using("payments")',
        'DB = "payments"\nRow.objects.using(DB)',
        'connections["payments"].cursor()',
        'from django.db import connections as c\nc["payments"]',
        'row.save(using="payments")',
        'DB = "payments"\nrow.save(using=DB)',
        'call_command("migrate", database="payments")',
        'class T:\n    databases = {"orders", "payments"}',
        '@pytest.mark.django_db(databases=["payments"])\ndef test(): ...',
        'psycopg.connect(settings.DATABASES["payments"]["NAME"])',
        'from django.conf import settings\nsettings.DATABASES.get("payments")',
        'connections.databases["payments"]["NAME"]',
        'os.environ["PAYMENTS_DATABASE_URL"]',
        'from os import environ as e\ne["PAYMENTS_DB_HOST"]',
        'os.environ.get("PAYMENTS_DATABASE_URL", "")',
        'os.getenv("PAYMENT_DSN")',
        'psycopg.connect(env.db("PAYMENTS_DATABASE_URL"))',
        'dj_database_url.config(env="PAYMENTS_DATABASE_URL")',
        'dj_database_url.parse(os.environ["PAYMENTS_DATABASE_URL"])',
        'atomic(using="payments" if x else "orders")',
        'for db in ["orders", "payments"]:\n    atomic(db)',
    ],
)
def test_another_modules_database_is_found(look: Look, source: str) -> None:
    assert codes(look(source)) == ["E215"]


@pytest.mark.parametrize(
    "source",
    [
        'with atomic(using="orders"): ...',
        "with atomic(): ...",
        "Row.objects.using(alias)",
        '@pytest.mark.django_db(databases="__all__")\ndef test(): ...',
        'f(kind="payments")',
        'if using == "payments": ...',
        'os.environ["ORDERS_DATABASE_URL"]',
        'os.environ["ORDER_PAYMENTS_DB"]',
        'State["PAYMENTS_DB"]',
        'log.info("PAYMENTS_DB")',
        'headers.get("PAYMENTS_DSN")',
        'settings.get("payments")',
    ],
)
def test_its_own_database_is_none(look: Look, source: str) -> None:
    assert not look(source)
