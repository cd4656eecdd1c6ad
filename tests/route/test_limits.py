"""What outsiders can use up at the edge is not what units need to ask each other."""

import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from extraction.platform.local.ports import free_port
from extraction.route import bootstrap
from extraction.route.envoy import Envoy
from tests.platform.conftest import eventually
from tests.route.conftest import Edge, routing_at_first
from tests.route.upstreams import Unit, ask

FEW = 4


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Edge]:
    """An edge that takes few connections and waits for idle ones a second only."""
    monkeypatch.setattr(bootstrap, "CONNECTIONS", FEW)
    monkeypatch.setattr(bootstrap, "IDLE_CLIENT_TIMEOUT", "1s")
    monkeypatch.setattr(bootstrap, "WHOLE_REQUEST_TIMEOUT", "1s")
    directory = Path(tempfile.mkdtemp(prefix="shop-edge-"))
    monolith, inventory = Unit("monolith"), Unit("inventory")
    envoy = Envoy(directory, host="127.0.0.1", port=free_port(), internal_port=free_port(), admin_port=free_port())
    envoy.write(routing_at_first(monolith, inventory))
    process = subprocess.Popen(envoy.process().command)
    try:
        envoy.wait()
        yield Edge(envoy, process.pid, monolith, inventory)
    finally:
        process.terminate()
        process.wait()
        monolith.stop()
        inventory.stop()
        shutil.rmtree(directory)


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
