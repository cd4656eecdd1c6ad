"""The catalogue over the API and the contract."""

from typing import Any

import pytest
from django.db import IntegrityError, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contracts.inventory import Catalogue, Inventory, Line, Quote, QuotedLine, UnknownProduct
from contracts.runtime import use
from modules.inventory.models import Product, validate_sku
from modules.inventory.seed import seed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("shelf")]


def test_anybody_reads_the_catalogue(client: Client) -> None:
    answer = client.get("/api/inventory/")
    assert answer.status_code == 200
    assert answer.json()["after"] is None
    assert answer.json()["products"][0] == {
        "sku": "CUP-1",
        "name": "Blue Cup",
        "description": "",
        "category": "Kitchen",
        "price_cents": 450,
        "available": 10,
    }


@pytest.mark.parametrize(
    ("query", "skus"),
    [
        ({}, ["CUP-1", "LAMP-1", "POT-1"]),
        ({"search": "cup"}, ["CUP-1"]),
        ({"search": "lamp-"}, ["LAMP-1"]),
        ({"search": "“émile”"}, ["POT-1"]),
        ({"search": "O’Hara's"}, ["LAMP-1"]),
        ({"search": "%"}, ["LAMP-1"]),
        ({"search": "_"}, []),
        ({"search": "'; drop table inventory_product; --"}, []),
        ({"category": "Kitchen"}, ["CUP-1", "POT-1"]),
        ({"category": "kitchen"}, []),
        ({"category": "Kitchen", "search": "pot"}, ["POT-1"]),
        ({"after": "CUP-1"}, ["LAMP-1", "POT-1"]),
    ],
)
def test_search_category_and_after_narrow_the_catalogue(client: Client, query: dict[str, str], skus: list[str]) -> None:
    assert _skus(client.get("/api/inventory/", query)) == skus


def test_a_product_that_is_not_on_sale_is_not_shown(client: Client) -> None:
    Product.objects.filter(sku="CUP-1").update(is_on_sale=False)
    assert "CUP-1" not in _skus(client.get("/api/inventory/"))
    assert client.get("/api/inventory/CUP-1/").status_code == 404
    with pytest.raises(UnknownProduct):
        use(Inventory).product(sku="CUP-1")
    with pytest.raises(UnknownProduct):
        use(Inventory).quote(lines=(Line(sku="CUP-1", quantity=1),))


def test_a_product_without_stock_is_not_shown(client: Client) -> None:
    Product.objects.create(sku="NEW-1", name="New", category="Kitchen", price_cents=1)
    assert "NEW-1" not in _skus(client.get("/api/inventory/"))
    assert client.get("/api/inventory/NEW-1/").status_code == 404


def test_pages_show_every_product_once(client: Client) -> None:
    seed(amounts={"products": 50})
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 7}
    while query.get("after", "") is not None:
        answer = client.get("/api/inventory/", query)
        seen += _skus(answer)
        query["after"] = answer.json()["after"]
    assert seen == list(Product.objects.order_by("sku").values_list("sku", flat=True))


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"search": "a" * 101}, "search"),
        ({"search": "a\0"}, "search"),
        ({"after": "\0"}, "after"),
        ({"category": "a" * 81}, "category"),
    ],
)
def test_a_malformed_query_names_the_field(client: Client, query: dict[str, str], field: str) -> None:
    answer = client.get("/api/inventory/", query)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_one_product_has_its_page(client: Client) -> None:
    answer = client.get("/api/inventory/POT-1/")
    assert (answer.status_code, answer.json()["name"]) == (200, "Tea Pot “Émile”")


@pytest.mark.parametrize("sku", ["NONE", "cup-1", "a%00b", "%22%27", "%F0%9F%92%A1", "a" * 500, ".."])
def test_an_unknown_sku_is_not_found(client: Client, sku: str) -> None:
    answer = client.get(f"/api/inventory/{sku}/")
    assert answer.status_code == 404


@pytest.mark.parametrize("sku", ["", "A B", "A/B", "A\nB", "A\n", "Ä", ".A", "a" * 41, "A'B"])
def test_a_sku_that_cannot_stand_in_a_url_is_refused(sku: str) -> None:
    with pytest.raises(Exception, match="SKU begins"):
        validate_sku(sku)


def test_the_database_refuses_such_a_sku_too() -> None:
    with pytest.raises(IntegrityError, match="product_sku_form"):
        Product.objects.create(sku="A/B", name="A", category="B", price_cents=1)


@pytest.mark.parametrize(
    "path", ["/api/inventory/", "/api/inventory/?search=cup&category=Kitchen", "/api/inventory/CUP-1/"]
)
def test_a_read_takes_one_query(client: Client, path: str) -> None:
    with CaptureQueriesContext(connections["inventory"]) as statements:
        assert client.get(path).status_code == 200
    assert len(statements) == 1


def test_a_quote_has_todays_prices() -> None:
    lines = (Line(sku="POT-1", quantity=2), Line(sku="CUP-1", quantity=1))
    assert use(Inventory).quote(lines=lines) == Quote(
        lines=(
            QuotedLine(sku="POT-1", name="Tea Pot “Émile”", quantity=2, unit_price_cents=2900),
            QuotedLine(sku="CUP-1", name="Blue Cup", quantity=1, unit_price_cents=450),
        ),
        total_cents=6250,
        currency="EUR",
    )


@pytest.mark.parametrize("sku", ["NONE", "", "a\0b"])
def test_a_quote_names_the_product_that_is_not_on_sale(sku: str) -> None:
    with pytest.raises(UnknownProduct) as raised:
        use(Inventory).quote(lines=(Line(sku="CUP-1", quantity=1), Line(sku=sku, quantity=1)))
    assert raised.value.sku == sku


def test_the_contract_keeps_its_page_size() -> None:
    seed(amounts={"products": 150})
    assert len(use(Inventory).catalogue(limit=1000).products) == 100
    assert len(use(Inventory).catalogue(limit=0).products) == 1


def test_text_that_no_row_can_hold_finds_nothing() -> None:
    assert use(Inventory).catalogue(search="a\0") == Catalogue(products=(), after=None)


def _skus(answer: Any) -> list[str]:
    return [product["sku"] for product in answer.json()["products"]]
