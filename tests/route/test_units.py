"""How units reach each other: the listener that only this machine can connect to."""

from dataclasses import replace

import pytest

from tests.route.conftest import Edge
from tests.route.upstreams import Answer, ask, moved_to

QUOTE = "/internal/contracts/inventory/quote"


def test_a_call_reaches_the_home_of_the_module(edge: Edge) -> None:
    answer = ask(edge.envoy.internal_port, "POST", f"/modules/inventory{QUOTE}?v=1", b"x", authorization="Bearer token")
    assert answer.served_by == "monolith"
    (request,) = edge.monolith.asked
    assert (request.path, request.body) == (f"{QUOTE}?v=1", b"x")
    assert (request.headers["host"], request.headers["authorization"]) == ("127.0.0.1", "Bearer token")


def test_a_call_follows_the_home(edge: Edge) -> None:
    edge.envoy.change(lambda routing: routing.with_module(replace(routing.module("inventory"), home="inventory")))
    assert ask(edge.envoy.internal_port, "POST", f"/modules/inventory{QUOTE}").served_by == "inventory"
    assert ask(edge.envoy.internal_port, "POST", f"/modules/orders{QUOTE}").served_by == "monolith"


def test_calls_go_home_whatever_share_of_the_reads_goes_elsewhere(edge: Edge) -> None:
    edge.split(100)
    assert ask(edge.envoy.internal_port, "GET", f"/modules/inventory{QUOTE}").served_by == "monolith"


@pytest.mark.parametrize(
    "path", ["/", QUOTE, "/modules/", "/modules/inventory", "/modules/nowhere/internal/x", "/api/inventory/"]
)
def test_nothing_else_is_there(edge: Edge, path: str) -> None:
    assert ask(edge.envoy.internal_port, "GET", path).code == 404
    assert edge.monolith.asked == []


def test_a_call_is_not_redirected(edge: Edge) -> None:
    edge.monolith.answer = moved_to("e7.inventory.inventory.internal")
    assert ask(edge.envoy.internal_port, "POST", f"/modules/inventory{QUOTE}", b"x").code == 307
    assert edge.inventory.asked == []


def test_a_call_that_was_not_answered_is_not_sent_again(edge: Edge) -> None:
    edge.monolith.answer = lambda request: Answer(503)
    assert ask(edge.envoy.internal_port, "POST", f"/modules/inventory{QUOTE}", b"x").code == 503
    assert len(edge.monolith.asked) == 1


def test_customers_do_not_reach_it_by_the_edge(edge: Edge) -> None:
    edge.ask("GET", f"/modules/inventory{QUOTE}")
    assert [request.path for request in edge.monolith.asked] == [f"/modules/inventory{QUOTE}"]


def test_how_a_visitors_form_came_is_what_the_unit_says_that_hands_it_on(edge: Edge) -> None:
    """Or a shop behind https answers it with a redirect to an https that is not there."""
    ask(edge.envoy.internal_port, "POST", "/modules/orders/api/orders/", b"x", x_forwarded_proto="https")
    ask(edge.envoy.internal_port, "POST", "/modules/orders/api/orders/", b"x")
    assert [request.headers["x-forwarded-proto"] for request in edge.monolith.asked] == ["https", "http"]
