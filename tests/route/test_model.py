from dataclasses import replace

import pytest

from extraction.route.errors import RoutingError
from extraction.route.model import Endpoint, ModuleRoutes, Routing

INVENTORY = ModuleRoutes(
    module="inventory", urls=("/api/inventory/",), home="monolith", candidate="inventory", candidate_percent=12.5
)
ROUTING = Routing(
    default="monolith",
    units={
        "monolith": (Endpoint("127.0.0.1", 8001), Endpoint("::1", 8002)),
        "inventory": (Endpoint("127.0.0.1", 8003),),
    },
    modules=(INVENTORY, ModuleRoutes(module="orders", urls=("/api/orders/", "/orders/"), home="monolith")),
)


def test_a_routing_survives_its_file() -> None:
    assert Routing.from_json(ROUTING.to_json()) == ROUTING


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"default": "monolith", "units": {"monolith": [1]}, "modules": []}'])
def test_a_file_that_holds_no_routing_says_so(text: str) -> None:
    with pytest.raises(RoutingError, match="no routing"):
        Routing.from_json(text)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"home": "nowhere"}, "a unit without endpoints"),
        ({"candidate": "nowhere"}, "a unit without endpoints"),
        ({"candidate": "monolith"}, "leave the candidate empty"),
        ({"candidate": ""}, "name the candidate"),
        ({"candidate_percent": 100.01}, "give 0 to 100"),
        ({"candidate_percent": -1}, "give 0 to 100"),
        ({"candidate_percent": float("nan")}, "give 0 to 100"),
        ({"urls": ("/",)}, "no path of its own"),
        ({"urls": ("api/inventory",)}, "no path of its own"),
        ({"urls": ("/internal/stock/",)}, "for units alone"),
        ({"urls": ("/api/orders/stock/",)}, "overlap"),
        ({"urls": ("/api",)}, "overlap"),
        ({"module": "Stock.room"}, "part of a host name"),
    ],
)
def test_a_routing_that_contradicts_itself_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(RoutingError, match=complaint):
        ROUTING.with_module(replace(INVENTORY, **changes))  # type: ignore[arg-type]


def test_paths_that_only_begin_alike_do_not_overlap() -> None:
    ROUTING.with_module(ModuleRoutes(module="reports", urls=("/api/orders-report/",), home="monolith"))


def test_a_unit_that_routes_lead_to_cannot_go() -> None:
    with pytest.raises(RoutingError, match="inventory lives in monolith; first: extract rollback inventory"):
        ROUTING.without_unit("monolith")


def test_a_unit_that_goes_takes_its_share_of_the_reads_with_it() -> None:
    found = ROUTING.without_unit("inventory")
    assert "inventory" not in found.units
    assert found.module("inventory") == ModuleRoutes(module="inventory", urls=INVENTORY.urls, home="monolith")


def test_new_routes_of_a_module_take_the_place_of_the_old() -> None:
    moved = ModuleRoutes(module="inventory", urls=("/api/inventory/",), home="inventory")
    assert ROUTING.with_module(moved).module("inventory") == moved
    assert len(ROUTING.with_module(moved).modules) == len(ROUTING.modules)
