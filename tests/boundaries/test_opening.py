"""A house is opened from the setting, or from what is said of a checkout; what is said wrongly is answered clearly."""

from pathlib import Path
from typing import Any

import django.conf
import pytest
from pytest_django import Settings

from extraction.boundaries.opening import NoHouse, away, house_at, house_of_project
from tests.boundaries.conftest import MODULES, Checkout

ROOT = Path(__file__).resolve().parent.parent.parent


def module(*apps: str, **more: Any) -> dict[str, Any]:
    return {"apps": list(apps), "database": "default", "schema": "public", **more}


def test_the_shop_is_opened_from_its_setting() -> None:
    house = house_of_project()
    assert house.root == ROOT
    assert house.names == ("inventory", "orders", "payments", "users")
    orders = house.member("orders")
    assert (orders.packages, orders.labels, orders.alias, orders.schema) == (
        ("modules.orders",),
        ("orders",),
        "orders",
        "orders",
    )
    assert set(house.published) == {f"contracts.{name}" for name in house.names}, "every definition, and no more"
    assert away(house) == []


def test_a_label_is_the_apps_own_and_a_team_is_the_modules(settings: Settings) -> None:
    installed = ("django.contrib.auth", "django.contrib.sessions")
    settings.EXTRACTION = {"modules": {"carrier": module("contracts.runtime", *installed, team="ours")}}
    house = house_of_project()
    assert house.member("carrier").labels == ("runtime", "auth", "sessions")
    assert house.member("carrier").team == "ours"
    assert house.root == ROOT, "where the project's own app stands, not an installed one"
    assert away(house) == [*installed]


@pytest.mark.parametrize("said", [None, "shop", {}, {"modules": {}}, {"modules": ["shop.orders"]}, [{"modules": {}}]])
def test_a_project_without_modules_is_told_what_to_add(monkeypatch: pytest.MonkeyPatch, said: object) -> None:
    monkeypatch.setattr(django.conf.settings, "EXTRACTION", said)
    with pytest.raises(NoHouse, match=r"no EXTRACTION with modules\. Add EXTRACTION = .*\"apps\""):
        house_of_project()


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        (
            {"orders": module("modules.orders"), "payments": module("modules.orders", "modules.payments")},
            r"'modules\.orders' is in the modules orders and payments.*take it out of one",
        ),
        ({"orders": module("modules.orders", "modules.orders")}, r"is in the module orders twice"),
        ({"orders": module("modules.order")}, r"'modules\.order', which is no app.*; there is .*modules\.orders"),
        ({"orders": module("orders")}, r"'orders', which is no app.*; there is modules\.orders"),
        ({"orders": module("modules.orders.apps.OrdersConfig")}, r"no app.*; there is modules\.orders"),
        (
            {"orders": {"apps": "modules.orders"}},
            r'\["orders"\]\["apps"\] is \'modules\.orders\'; it takes a list of names',
        ),
        ({"orders": {}}, r'\["orders"\]\["apps"\] is None; it takes a list of names: \["shop\.orders"\]'),
        ({"orders": "modules.orders"}, r'\["orders"\]\["apps"\] is None; it takes a list of names'),
        ({"orders": {"apps": [None]}}, r"takes a list of names"),
        ({"orders": {"apps": []}}, r"takes a list of names"),
    ],
)
def test_what_is_wrong_in_the_setting_is_named(settings: Settings, modules: dict[str, Any], message: str) -> None:
    settings.EXTRACTION = {"modules": modules}
    with pytest.raises(NoHouse, match=message):
        house_of_project()


def test_a_published_package_that_is_not_there_is_named_with_the_one_that_is(settings: Settings) -> None:
    settings.EXTRACTION = {"modules": {"orders": module("modules.orders")}, "published": ["contracts.order"]}
    with pytest.raises(
        NoHouse, match=r"names 'contracts\.order', and there is no such file .*there is contracts\.orders"
    ):
        house_of_project()


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"published": "contracts.orders"}, r'\["published"\] is \'contracts\.orders\'; it takes a list of names'),
        ({"published": ["/etc"]}, r"names '/etc', and there is no such file"),
        ({"cache": 5}, r'\["cache"\] is 5; it takes the path of a directory'),
    ],
)
def test_what_else_is_wrong_in_the_setting_is_named(settings: Settings, said: dict[str, Any], message: str) -> None:
    settings.EXTRACTION = {"modules": {"orders": module("modules.orders")}} | said
    with pytest.raises(NoHouse, match=message):
        house_of_project()


def test_a_checkout_is_opened_from_what_is_said_of_it(checkout: Checkout) -> None:
    checkout.write({"modules/users/apps.py": "class Users(AppConfig):\n    label = 'people'\n"})
    house = house_at(
        checkout.root, modules={"users": ["modules.users", "modules.payments"], "orders": "modules.orders"}
    )
    assert house.names == ("users", "orders")
    assert house.member("users").labels == ("people", "payments")
    service = house.owner_of(Path("modules/orders/service.py"))
    assert service is not None
    assert service.name == "orders"


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"orders": "modules.order"}, r"no package 'modules\.order' under .*; there is modules\.orders.*order=saleor"),
        ({"a": "modules.orders", "b": "modules.orders"}, r"'modules\.orders' is in the modules a and b"),
        ({"orders": "/etc"}, r"no package '/etc' under .*; write it as it is imported from there"),
        ({"orders": "."}, r"no package '\.' under"),
        ({"orders": "modules..orders"}, r"no package 'modules\.\.orders' under .*; there is modules\.orders"),
        ({"orders": "modules/orders"}, r"no package 'modules/orders' under .*; there is modules\.orders"),
        ({"orders": "Modules.Orders"}, r"no package 'Modules\.Orders' under .*; there is modules\.orders"),
        ({"orders": "modules.orders.templates"}, r"'modules\.orders\.templates' holds no Python file"),
        ({}, r"no module is named.*--modules"),
    ],
)
def test_what_is_wrong_in_what_is_said_of_a_checkout_is_named(
    checkout: Checkout, modules: dict[str, str], message: str
) -> None:
    checkout.write({"modules/orders/templates/order.html": ""})
    with pytest.raises(NoHouse, match=message):
        house_at(checkout.root, modules=modules)


def test_a_name_that_differs_in_case_is_another_where_the_file_system_knows_no_case(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_dir = Path.is_dir
    monkeypatch.setattr(Path, "is_dir", lambda path: is_dir(path) or is_dir(Path(str(path).lower())))
    with pytest.raises(NoHouse, match=r"no package 'modules\.Orders'"):
        house_at(checkout.root, modules={"orders": "modules.Orders"})


def test_a_checkout_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoHouse, match="is no directory"):
        house_at(tmp_path / "nowhere", modules=MODULES)
