"""What outsiders can use up at the edge is not what units need to ask each other."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from extraction.route import bootstrap
from tests.platform.conftest import eventually
from tests.route.conftest import Edge, an_edge
from tests.route.upstreams import ask

FEW = 4


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """An edge that takes few connections and waits for idle ones a second only."""
    monkeypatch.setattr(bootstrap, "CONNECTIONS", FEW)
    monkeypatch.setattr(bootstrap, "IDLE_CLIENT_TIMEOUT", "1s")
    monkeypatch.setattr(bootstrap, "WHOLE_REQUEST_TIMEOUT", "1s")
    with an_edge() as edge:
        yield edge


def test_clients_that_hold_every_connection_keep_no_unit_from_another(narrow: Edge) -> None:
    with ExitStack() as stack:
        for _ in range(FEW):
            stack.enter_context(socket.create_connection(("127.0.0.1", narrow.envoy.port), timeout=5))
        assert eventually(lambda: _active(narrow) == FEW)
        assert ask(narrow.envoy.internal_port, "POST", "/modules/inventory/internal/contracts/x", b"{}").code == 200


def test_a_connection_that_asks_nothing_is_closed(narrow: Edge) -> None:
    with socket.create_connection(("127.0.0.1", narrow.envoy.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.local\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        while connection.recv(1000):
            pass


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /api/orders/ HTTP/1.1\r\nHost: shop.local\r\nContent-Length: 1000\r\n\r\nhalf",
        b"CONNECT shop.local:80 HTTP/1.1\r\nHost: shop.local:80\r\n\r\n",
    ],
)
def test_a_request_that_does_not_end_is_ended(narrow: Edge, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", narrow.envoy.port), timeout=10) as connection:
        connection.sendall(begun)
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")
    assert narrow.monolith.asked == []


def _active(edge: Edge) -> int:
    (count,) = edge.envoy.admin.stats(r"^http\.edge\.downstream_cx_active$").values()
    return int(count)
