"""What a client cannot reach or forge at the edge."""

import json
import socket
from pathlib import Path

import pytest

from tests.platform.conftest import eventually
from tests.route.conftest import Edge
from tests.route.upstreams import nobody, vanish


@pytest.mark.parametrize(
    "path",
    [
        "/internal",
        "/internal/",
        "/internal?x=1",
        "/internal/contracts/inventory/quote",
        "//internal/x",
        "/./internal/x",
        "/a/../internal/x",
        "/a/%2e%2e/internal/x",
        "/%69nternal/x",
        "/internal%2Fx",
        "/%2Finternal/x",
        "/a%2F..%2Finternal/x",
        "/internal%5Cx",
        "/\\internal\\x",
    ],
)
def test_internal_paths_are_not_found(edge: Edge, path: str) -> None:
    assert edge.ask("GET", path).code == 404
    assert edge.monolith.asked == edge.inventory.asked == []


def test_a_path_that_only_begins_like_an_internal_one_is_the_shops(edge: Edge) -> None:
    assert edge.ask("GET", "/internally").served_by == "monolith"


@pytest.mark.parametrize(
    "host",
    [
        "e1.inventory.inventory.internal",
        "E1.Inventory.inventory.INTERNAL",
        "e1.inventory.inventory.internal:80",
        "e1.inventory.inventory.internal.",
        "e1.inventory.inventory.internal.:80",
        "e1.inventory.inventory.internal:",
        "anything.internal",
        "internal",
    ],
)
@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"x_envoy_original_url": "http://shop.local/", "x_envoy_internal": "true", "x_envoy_max_retries": "9"},
        {"x_forwarded_host": "shop.local", "x_forwarded_for": "127.0.0.1", "x_forwarded_proto": "https"},
    ],
)
def test_internal_hosts_are_not_found(edge: Edge, host: str, forged: dict[str, str]) -> None:
    assert edge.ask("GET", "/api/inventory/", None, host=host, **forged).code == 404
    assert edge.monolith.asked == edge.inventory.asked == []


def test_an_internal_host_in_the_request_line_is_not_found(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.envoy.port), timeout=5) as connection:
        connection.sendall(b"GET http://e1.inventory.inventory.internal/x HTTP/1.1\r\nHost: shop.local\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 404")
    assert edge.monolith.asked == edge.inventory.asked == []


def test_headers_that_only_the_edge_sets_do_not_pass(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.envoy.port), timeout=5) as connection:
        connection.sendall(
            b"GET / HTTP/1.1\r\nHost: shop.local\r\n"
            b"X-Placement-Epoch: 9\r\nx_placement_epoch: 9\r\nX-Unit: inventory\r\nX-Unit-Token: forged\r\n"
            b"X-Forwarded-Host: forged\r\nX-Envoy-Original-Url: forged\r\nX-Envoy-Retry-On: 5xx\r\n\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    (request,) = edge.monolith.asked
    assert "forged" not in json.dumps(request.headers)
    assert not [name for name in request.headers if name.replace("_", "-").startswith(("x-placement", "x-unit"))]


def test_what_a_unit_needs_of_the_client_arrives_untouched(edge: Edge) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    edge.ask("GET", "/cart?q=a%20b", host="shop.local:8000", x_request_id="mine", traceparent=trace, cookie="cohort=1")
    (request,) = edge.monolith.asked
    assert request.path == "/cart?q=a%20b"
    assert request.headers["host"] == "shop.local:8000"
    assert (request.headers["x-request-id"], request.headers["traceparent"]) == ("mine", trace)
    assert request.headers["cookie"] == "cohort=1"


def test_every_request_has_an_id_and_its_sender_at_the_end(edge: Edge) -> None:
    edge.ask("GET", "/", x_forwarded_for="203.0.113.7")
    (request,) = edge.monolith.asked
    assert request.headers["x-request-id"]
    before, _, last = request.headers["x-forwarded-for"].rpartition(",")
    assert before == "203.0.113.7"
    assert last


def test_a_body_that_is_too_long_is_refused_whole(edge: Edge) -> None:
    answer = edge.ask("POST", "/api/inventory/", b"x" * (4 * 1024 * 1024 + 1))
    assert answer.code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert edge.monolith.asked == []


def test_a_body_that_breaks_off_reaches_nobody(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.envoy.port), timeout=5) as connection:
        connection.sendall(b"POST /api/orders/ HTTP/1.1\r\nHost: shop.local\r\nContent-Length: 1000\r\n\r\nhalf")
    assert edge.ask("GET", "/").code == 200
    assert [request.method for request in edge.monolith.asked] == ["GET"]


def test_a_write_whose_answer_is_lost_is_sent_once_and_called_ambiguous(edge: Edge) -> None:
    edge.monolith.answer = vanish
    answer = edge.ask("POST", "/api/orders/", b"x")
    assert (answer.code, answer.headers["x-ambiguous"], json.loads(answer.body)["code"]) == (503, "1", "ambiguous")
    assert len(edge.monolith.asked) == 1


def test_a_write_that_nobody_took_is_not_ambiguous(edge: Edge) -> None:
    edge.envoy.change(lambda routing: routing.with_unit("monolith", nobody()))
    answer = edge.ask("POST", "/api/orders/", b"x")
    assert (answer.code, json.loads(answer.body)["code"]) == (503, "unavailable")
    assert "x-ambiguous" not in answer.headers


def test_the_log_names_path_and_unit_but_not_the_query(edge: Edge) -> None:
    edge.ask("GET", "/search?token=secret", x_request_id="logged")
    log = edge.envoy.directory / "log" / "edge.json"
    assert eventually(lambda: '"logged"' in log.read_text())
    line = _line(log, "logged")
    assert (line["path"], line["served_by"], line["code"], line["attempts"]) == ("/search", "monolith", 200, 1)
    assert "secret" not in log.read_text()


def _line(log: Path, request_id: str) -> dict[str, object]:
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found: dict[str, object] = next(line for line in lines if line["request_id"] == request_id)
    return found
