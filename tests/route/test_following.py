"""A unit that is not home names the one that is, and the edge goes there itself."""

import json
from pathlib import Path

import pytest

from tests.platform.conftest import eventually
from tests.route.conftest import Edge
from tests.route.upstreams import Answer, Request, connected, fine, moved_to

TO_INVENTORY = moved_to("e7.inventory.inventory.internal")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("size", [0, 1, 20_000, 2_000_000, 4 * 1024 * 1024])
def test_a_refused_write_arrives_whole_at_the_home(edge: Edge, method: str, size: int) -> None:
    edge.monolith.answer = TO_INVENTORY
    body = bytes(index % 251 for index in range(min(size, 1000))) * (size // 1000 or 1) + b"x" * (size % 1000)
    answer = edge.ask(
        method, "/api/inventory/items/?a=b%20c", body, host="shop.local:8000", cookie="sessionid=1", x_request_id="same"
    )
    assert (answer.code, answer.served_by) == (200, "inventory")
    (request,) = edge.inventory.asked
    assert (request.method, request.path, request.body) == (method, "/api/inventory/items/?a=b%20c", body)
    assert request.headers["host"] == "shop.local:8000"
    assert request.headers["x-placement-epoch"] == "7"
    assert (request.headers["cookie"], request.headers["x-request-id"]) == ("sessionid=1", "same")


def test_a_body_of_unknown_length_arrives_whole_too(edge: Edge) -> None:
    edge.monolith.answer = TO_INVENTORY
    with connected(edge.envoy.port) as connection:
        connection.request("POST", "/api/inventory/", iter([b"a" * 1000, b"b" * 70_000]), encode_chunked=True)
        assert connection.getresponse().status == 200
    assert edge.inventory.asked[0].body == b"a" * 1000 + b"b" * 70_000


def test_a_refused_read_is_followed_too(edge: Edge) -> None:
    edge.monolith.answer = TO_INVENTORY
    assert edge.ask("GET", "/api/inventory/").served_by == "inventory"


def test_a_candidate_that_refuses_a_read_is_followed_as_well(edge: Edge) -> None:
    edge.split(100)
    edge.inventory.answer = moved_to("e8.monolith.inventory.internal")
    answer = edge.ask("GET", "/api/inventory/", host="shop.local")
    assert (answer.code, answer.served_by) == (200, "monolith")
    assert (edge.monolith.asked[0].headers["host"], _epoch(edge.monolith.asked[0])) == ("shop.local", "8")


def test_the_way_back_is_followed_as_well(edge: Edge) -> None:
    edge.monolith.answer = lambda request: fine(request) if _epoch(request) == "8" else TO_INVENTORY(request)
    edge.inventory.answer = moved_to("e8.monolith.inventory.internal")
    assert edge.ask("POST", "/api/inventory/", b"x").served_by == "monolith"
    assert [_epoch(request) for request in edge.monolith.asked] == [None, "8"]
    assert [_epoch(request) for request in edge.inventory.asked] == ["7"]


def test_units_that_send_each_other_in_circles_end_in_a_clean_answer(edge: Edge) -> None:
    edge.monolith.answer = TO_INVENTORY
    edge.inventory.answer = moved_to("e8.monolith.inventory.internal")
    _assert_unfollowed(edge.ask("POST", "/api/inventory/", b"x"))
    assert len(edge.monolith.asked) + len(edge.inventory.asked) == 3


@pytest.mark.parametrize(
    "host",
    ["e7.nowhere.inventory.internal", "inventory.internal", "E7.nowhere.internal:80", "anything.internal."],
)
def test_a_host_that_nobody_knows_never_reaches_the_client(edge: Edge, host: str) -> None:
    edge.monolith.answer = moved_to(host)
    _assert_unfollowed(edge.ask("POST", "/api/inventory/", b"x"))


@pytest.mark.parametrize(
    "location",
    [
        "http://elsewhere.example/pay",
        "/login/",
        "//elsewhere.example/internal",
        "https://docs.internal-affairs.example/",
        "https://elsewhere.example/?next=http://e1.inventory.internal/",
    ],
)
def test_every_other_redirect_is_the_clients_to_follow(edge: Edge, location: str) -> None:
    edge.monolith.answer = lambda request: Answer(307, {"location": location})
    answer = edge.ask("POST", "/api/inventory/", b"x")
    assert (answer.code, answer.headers["location"]) == (307, location)
    assert len(edge.monolith.asked) == 1


def test_a_redirect_cannot_lead_to_internal_paths(edge: Edge) -> None:
    edge.monolith.answer = lambda request: Answer(
        307, {"location": "http://e7.inventory.inventory.internal/internal/x"}
    )
    _assert_unfollowed(edge.ask("POST", "/api/inventory/", b"x"))
    assert edge.inventory.asked == []


def test_a_client_cannot_bring_its_own_epoch(edge: Edge) -> None:
    edge.monolith.answer = TO_INVENTORY
    edge.ask("POST", "/api/inventory/", b"x", x_placement_epoch="99")
    assert _epoch(edge.monolith.asked[0]) is None
    assert _epoch(edge.inventory.asked[0]) == "7"


def test_the_log_shows_that_a_request_was_redirected_inside(edge: Edge) -> None:
    edge.monolith.answer = TO_INVENTORY
    edge.ask("POST", "/api/inventory/", b"x", x_request_id="followed")
    log = edge.envoy.directory / "log" / "edge.json"
    assert eventually(lambda: _logged(log, "followed"))
    last = _logged(log, "followed")[-1]
    assert (last["code"], last["route"], last["redirected_epoch"]) == (200, "moved-to-inventory", "7")
    assert last["served_by"] == "inventory"


def _epoch(request: Request) -> str | None:
    return request.headers.get("x-placement-epoch")


def _assert_unfollowed(answer: Answer) -> None:
    assert answer.code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert json.loads(answer.body)["code"] == "in_motion"
    assert ".internal" not in str(answer)


def _logged(log: Path, request_id: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["request_id"] == request_id]
