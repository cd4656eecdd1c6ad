"""`manage.py modules`: what it says of the shop's modules, and of databases and projects that say less."""

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connections
from pytest_django import Settings

from extraction import project
from extraction.boundaries.canvas import Canvas, Catalogue, Edge, catalogue
from extraction.boundaries.catalogue import Ask, Offer, offers
from extraction.boundaries.mermaid import flowchart, node
from extraction.boundaries.pages import MARK, pages
from extraction.boundaries.sizes import sizes_of
from tests.journeys.buying import shelve

EVERYWHERE = pytest.mark.django_db(databases="__all__")


def said(*words: str) -> str:
    """What `manage.py modules` prints."""
    stdout = io.StringIO()
    call_command("modules", *words, stdout=stdout)
    return stdout.getvalue()


def canvas(name: str, offer: Offer | None = None) -> Canvas:
    """A module of which nothing else is known."""
    return Canvas(
        name=name, team="", apps=(), alias="default", schema="public", urls=(), tables=(), commands=(), offer=offer
    )


def without(given: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in copy.deepcopy(given).items() if key not in keys}


@EVERYWHERE
def test_a_module_says_what_it_answers_tells_asks_hears_and_owns() -> None:
    text = said("orders")
    for line in (
        "orders, of team checkout",
        "  lives in  monolith, epoch 0",
        "  database  orders, schema orders",
        "  order(*, order_id: UUID) -> Order",
        "      asked by the rest of the project: shop/audit.py, shop/tour/census.py",
        "      heard by inventory: inventory.reserve_stock",
        "  inventory.stock_reserved.v1 → orders.note_stock_reserved",
        "      modules.orders.handlers.note_stock_reserved",
    ):
        assert line in text.splitlines(), text
    assert any(line.split() == ["inventory.quote", "modules/orders/service.py:49"] for line in text.splitlines()), text
    assert any(line.split()[:2] == ["orders_order", "orders.Order"] for line in text.splitlines()), text


@EVERYWHERE
@pytest.mark.parametrize("words", [(), *((name,) for name in project.modules())])
def test_no_line_is_wider_than_80_columns(words: tuple[str, ...]) -> None:
    assert max(len(line) for line in said(*words).splitlines()) <= 80


@EVERYWHERE
def test_rows_are_those_that_analyze_estimated() -> None:
    for number in range(3):
        shelve(f"A-{number}")
    with connections["inventory"].cursor() as cursor:
        cursor.execute("analyze inventory_product")
    found = {size.table: size for size in sizes_of(project.modules()["inventory"])}
    assert found["inventory_product"].rows == 3
    assert found["inventory_product"].bytes > 0
    assert "django_migrations" not in found


@EVERYWHERE
def test_a_partitioned_table_is_told_once_with_all_its_partitions() -> None:
    with connections["inventory"].cursor() as cursor:
        cursor.execute("create table moves (day int) partition by list (day)")
        cursor.execute("create table moves_1 partition of moves for values in (1)")
        cursor.execute("insert into moves select 1 from generate_series(1, 500)")
        before = {size.table: size for size in sizes_of(project.modules()["inventory"])}
        cursor.execute("analyze moves")
    found = {size.table: size for size in sizes_of(project.modules()["inventory"])}
    assert "moves_1" not in found
    assert (before["moves"].rows, found["moves"].rows) == (None, 500)
    assert found["moves"].bytes >= 8192


@EVERYWHERE
def test_a_look_at_sizes_leaves_the_transaction_as_it_was() -> None:
    with connections["inventory"].cursor() as cursor:
        cursor.execute("show statement_timeout")
        before = cursor.fetchone()
        sizes_of(project.modules()["inventory"])
        cursor.execute("show statement_timeout")
        assert cursor.fetchone() == before
    shelve()


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_database_that_does_not_answer_is_said_and_the_rest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    connections["orders"].close()
    monkeypatch.setitem(connections["orders"].settings_dict, "PORT", 1)
    text = said()
    assert "orders: the database does not answer:" in " ".join(text.split())
    rows = {line.split()[0]: line.split() for line in text.splitlines()[2:6]}
    assert rows["orders"][2] == "?"
    assert rows["inventory"][2] == "monolith"
    assert "  order(*, order_id: UUID) -> Order" in said("orders").splitlines()


@pytest.mark.django_db(databases="__all__", transaction=True)
def test_a_project_without_placement_rows_is_told_to_migrate(monkeypatch: pytest.MonkeyPatch) -> None:
    with connections["orders"].cursor() as cursor:
        cursor.execute("alter table orders_placement rename to put_aside")
    try:
        assert "run: manage.py migrate --database orders" in " ".join(said().split())
    finally:
        with connections["orders"].cursor() as cursor:
            cursor.execute("alter table put_aside rename to orders_placement")


@EVERYWHERE
def test_a_table_that_is_not_there_is_named() -> None:
    with connections["orders"].cursor() as cursor:
        cursor.execute("alter table orders_timelineentry rename to put_aside")
    text = " ".join(said("orders").split())
    assert "orders: schema orders has no orders_timelineentry; run: manage.py migrate --database orders" in text


@EVERYWHERE
def test_json_has_every_module_with_its_tables_and_its_place() -> None:
    document = json.loads(said("--format", "json"))
    modules = {module["name"]: module for module in document["modules"]}
    assert modules.keys() == project.modules().keys()
    assert modules["payments"]["place"] == {"home": "monolith", "epoch": 0, "here": True}
    assert {size["table"] for size in modules["payments"]["sizes"]} >= {"payments_payment", "outbox"}
    call = {"asker": "orders", "asked": "users", "what": "customer", "places": ["modules/orders/service.py"]}
    assert call in document["calls"]


def test_a_flowchart_has_calls_solid_and_events_dotted_in_the_direction_in_which_they_travel() -> None:
    lines = [line.strip() for line in said("--format", "mermaid").splitlines()]
    assert lines[0] == "flowchart LR"
    assert 'm_orders -->|"quote"| m_inventory' in lines
    assert 'm_inventory -.->|"stock_rejected.v1<br/>stock_reserved.v1"| m_orders' in lines
    assert 'm_orders["orders, checkout"]' in lines


def test_a_flowchart_around_one_module_leaves_out_who_does_not_know_it() -> None:
    text = said("users", "--format", "mermaid")
    assert 'm_orders -->|"customer"| m_users' in text
    assert "m_payments" not in text


def test_names_that_mermaid_keeps_for_itself_can_be_modules() -> None:
    edge = Edge(asker="end", asked='a-b "c"', what="stop", places=())
    told = Catalogue((canvas("end"), canvas('a-b "c"')), (edge,), (), ())
    lines = flowchart(told).splitlines()
    assert lines[1] == '  m_a_2d_b_20__22_c_22_["a-b #quot;c#quot;"]'
    assert lines[2:] == ['  m_end["end"]', '  m_end -->|"stop"| m_a_2d_b_20__22_c_22_']
    assert node("a-b") != node("a_b")


def test_the_source_tells_who_asks_whom() -> None:
    told = offers()
    assert {(ask.module, ask.call, ask.path) for ask in told["orders"].asks} == {
        ("users", "customer", "modules/orders/service.py"),
        ("inventory", "quote", "modules/orders/service.py"),
    }
    assert [told[name].asks for name in ("inventory", "payments", "users")] == [(), (), ()]


def test_a_proxy_that_is_kept_under_a_name_asks_where_the_name_is_used() -> None:
    asked = {(ask.call, ask.path) for ask in offers()["inventory"].asked}
    assert ("catalogue", "shop/storefront/catalogue.py") in asked
    assert ("categories", "shop/storefront/catalogue.py") in asked


def test_the_pages_of_this_project_are_fresh() -> None:
    assert said("--check").strip() == f"{len(project.modules()) + 1} pages are fresh."


def test_a_page_that_is_stale_is_named_and_written_anew(tmp_path: Path) -> None:
    folder = tmp_path / "modules"
    with pytest.raises(CommandError, match=r"orders\.md.*manage\.py modules --write"):
        said("--check", "--pages", str(folder))
    said("--write", "--pages", str(folder))
    (folder / "orders.md").write_text(f"{MARK}\nof an earlier release")
    (folder / "gone.md").write_text(f"# gone\n\n{MARK}\n")
    (folder / "mine.md").write_text("# not generated\n")
    with pytest.raises(CommandError, match=r"not fresh: \S*gone\.md, \S*orders\.md;"):
        said("--check", "--pages", str(folder))
    assert "earlier" in (folder / "orders.md").read_text(), "--check writes nothing"
    assert len(said("--write", "--pages", str(folder)).splitlines()) == 2
    assert "fresh" in said("--check", "--pages", str(folder))
    assert {path.name for path in folder.iterdir()} == {*pages(catalogue()), "mine.md"}


def test_what_somebody_else_wrote_is_not_written_over(tmp_path: Path) -> None:
    for name in ("README.md", "orders.md"):
        (tmp_path / name).write_text("by hand")
    with pytest.raises(CommandError, match=r"README\.md, \S*orders\.md: not written by this .* delete it.*--pages DIR"):
        said("--write", "--pages", str(tmp_path))
    assert {path.read_text() for path in tmp_path.iterdir()} == {"by hand"}


def test_pages_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CommandError, match="file: File exists; name a folder"):
        said("--write", "--pages", str(tmp_path / "file"))


def test_a_bar_in_a_type_does_not_end_a_cell() -> None:
    assert "payment(*, order_id: UUID) -> Payment \\| None" in pages(catalogue())["payments.md"]


def test_a_unit_without_all_modules_does_not_write_their_pages(settings: Settings, tmp_path: Path) -> None:
    given = copy.deepcopy(django_settings.EXTRACTION)
    del given["modules"]["orders"]
    settings.EXTRACTION = given
    with pytest.raises(CommandError, match=r"orders: not in this unit"):
        said("--write", "--pages", str(tmp_path))


@EVERYWHERE
def test_a_project_that_tells_of_no_calls_is_shown_what_it_owns(settings: Settings) -> None:
    settings.EXTRACTION = without(django_settings.EXTRACTION, "offers")
    assert 'EXTRACTION["offers"]' in said()
    assert "inventory_product" in said("inventory")
    assert 'EXTRACTION["offers"]' in pages(catalogue())["inventory.md"]


def test_a_dotted_path_that_leads_nowhere_is_said(settings: Settings) -> None:
    settings.EXTRACTION = {**django_settings.EXTRACTION, "offers": "shop.offers.nothing"}
    with pytest.raises(CommandError, match=r'EXTRACTION\["offers"\].*nothing'):
        said("--check")


def test_an_app_that_is_not_installed_is_said(settings: Settings) -> None:
    given = copy.deepcopy(django_settings.EXTRACTION)
    given["modules"]["orders"]["apps"] = ["modules.order"]
    settings.EXTRACTION = given
    with pytest.raises(CommandError, match=r"'orders' names modules\.order"):
        said()


def of(*apps: str, **more: Any) -> dict[str, Any]:
    return {"apps": list(apps), "database": "default", "schema": "public", **more}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("modules.orders", r"^EXTRACTION is 'modules\.orders'; it takes a dictionary: \{\"modules\": .*\"schema\""),
        ([], r"^EXTRACTION is \[\]; it takes a dictionary"),
        ({"modules": ["orders"]}, r"\[\"modules\"\] is \['orders'\]; it takes a dictionary: \{\"orders\": .*\"apps\""),
        ({"modules": {"orders": "modules.orders"}}, r"\[\"orders\"\] is 'modules\.orders'; it takes .*\"apps\""),
        ({"modules": {"orders": of() | {"apps": "modules.orders"}}}, r"its apps are .*; write a list: \[\"shop.orders"),
        ({"modules": {"orders": of(urls="/orders/")}}, r"its urls are '/orders/'; write a list: \[\"/orders/\"\]"),
        ({"modules": {1: of()}}, r"\[\"modules\"\] has the name 1; write it as a text: \"1\""),
        ({"modules": {"orders": {"apps": []}}}, r"module 'orders' has no 'database'; add it"),
        ({"modules": {"a": of("x"), "b": of("x")}}, r"'x' is in the modules a and b; a package has one owner: take it"),
        ({"modules": {"a": of("x", "x")}}, r"'x' is in the module a twice; a package has one owner"),
        ({"guards": "Raise"}, r"\[\"guards\"\] is 'Raise'; it takes raise, log, off"),
        ({"guards": 5}, r"\[\"guards\"\] is 5; it takes raise, log, off"),
        ({"boundaries": ["error"]}, r"\[\"boundaries\"\] is \['error'\]; it takes error, warning, off"),
    ],
)
def test_a_setting_that_is_wrong_is_answered_with_what_to_write(
    given: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_settings, "EXTRACTION", given)
    project.modules.cache_clear()
    with pytest.raises(CommandError, match=message):
        said()


def test_a_module_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(CommandError, match=r"no module 'order' .* there are inventory, orders, payments, users"):
        said("order")


def test_a_call_that_the_source_does_not_name_is_shown_as_a_call() -> None:
    offer = Offer(asks=(Ask(module="users", call="", path="a.py", line=3),))
    told = Catalogue((canvas("orders", offer),), (Edge(asker="orders", asked="users", what="", places=()),), (), ())
    assert '-->|"a call"|' in flowchart(told)
