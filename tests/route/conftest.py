"""A real Envoy with two units behind it. Each test starts with the routing that it had when it was new."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from extraction.platform.local.ports import free_port
from extraction.route.envoy import Envoy
from extraction.route.model import ModuleRoutes, Routing
from tests.route.upstreams import Answer, Unit, ask, fine


@dataclass(frozen=True)
class Edge:
    """Envoy, and the units behind it."""

    envoy: Envoy
    pid: int
    monolith: Unit
    inventory: Unit

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        return ask(self.envoy.port, method, path, body, **headers)

    def split(self, percent: float) -> None:
        """This share of the reads of inventory to its own unit."""
        self.envoy.change(
            lambda routing: routing.with_module(
                replace(routing.module("inventory"), candidate="inventory", candidate_percent=percent)
            )
        )


@contextmanager
def an_edge() -> Iterator[Edge]:
    """Envoy and two units, in a directory of their own."""
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


@pytest.fixture(scope="module")
def running() -> Iterator[Edge]:
    with an_edge() as edge:
        yield edge


@pytest.fixture
def edge(running: Edge) -> Edge:
    for unit in (running.monolith, running.inventory):
        unit.answer = fine
        unit.asked.clear()
    running.envoy.apply(routing_at_first(running.monolith, running.inventory))
    return running


def routing_at_first(monolith: Unit, inventory: Unit) -> Routing:
    return Routing(
        default="monolith",
        units={"monolith": (monolith.endpoint,), "inventory": (inventory.endpoint,)},
        modules=(
            ModuleRoutes(module="inventory", urls=("/api/inventory/",), home="monolith"),
            ModuleRoutes(module="orders", urls=("/api/orders/",), home="monolith"),
        ),
    )
