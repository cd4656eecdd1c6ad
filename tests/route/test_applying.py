"""The routing changes while requests run; a change is whole, seen when it returns, or refused."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from extraction.platform.local.ports import free_port
from extraction.route.envoy import Envoy
from extraction.route.errors import EnvoyAway, Rejected, RoutingError
from extraction.route.model import Endpoint, ModuleRoutes
from extraction.route.resources import IDLE_TIMEOUT
from shop import serving
from tests.platform.conftest import ROOT, eventually
from tests.route.conftest import Edge
from tests.route.upstreams import Answer, Request, Unit, ask, ask_on, connected, fine, nobody

CLIENTS = 6


def test_fifty_swaps_under_load_lose_no_request_and_each_holds_when_it_returns(edge: Edge) -> None:
    with load(edge) as answers:
        for step in range(50):
            edge.split(100 if step % 2 == 0 else 0)
            expected = "inventory" if step % 2 == 0 else "monolith"
            assert edge.ask("GET", "/api/inventory/").served_by == expected
            assert eventually(lambda: len(answers) > 30 * (step + 1))  # noqa: B023
    assert {answer.code for answer in answers} == {200}
    assert len(answers) > 1500
    assert {answer.served_by for answer in answers} == {"monolith", "inventory"}


def test_units_that_come_and_go_under_load_lose_no_request(edge: Edge) -> None:
    with load(edge) as answers:
        for step in range(10):
            edge.split(100)
            edge.envoy.change(lambda routing: routing.with_unit("late", edge.inventory.endpoint))
            edge.envoy.change(
                lambda routing: routing.with_module(
                    ModuleRoutes(module="inventory", urls=("/api/inventory/",), home="late")
                ).without_unit("inventory")
            )
            edge.envoy.change(
                lambda routing: (
                    routing.with_unit("inventory", edge.inventory.endpoint)
                    .with_module(ModuleRoutes(module="inventory", urls=("/api/inventory/",), home="monolith"))
                    .without_unit("late")
                )
            )
            assert eventually(lambda: len(answers) > 30 * (step + 1))  # noqa: B023
    assert {answer.code for answer in answers} == {200}


def test_replacing_the_process_of_a_unit_drops_no_request(edge: Edge) -> None:
    old = Unit("old")
    started, over = threading.Event(), threading.Event()

    def slow(request: Request) -> Answer:
        if request.path == "/slow":
            started.set()
            over.wait(20)
        return fine(request)

    old.answer = slow
    edge.envoy.change(lambda routing: routing.with_unit("monolith", old.endpoint))
    with load(edge, path="/") as answers, ThreadPoolExecutor() as pool:
        in_flight = pool.submit(edge.ask, "POST", "/slow", b"x")
        assert started.wait(5)
        edge.envoy.change(lambda routing: routing.with_unit("monolith", edge.monolith.endpoint))
        asked = len(old.asked)
        assert eventually(lambda: answers[-1].served_by == "monolith" and len(edge.monolith.asked) > 100)
        late = len(old.asked) - asked
        over.set()
        assert (in_flight.result().code, in_flight.result().served_by) == (200, "old")
        assert eventually(lambda: not _connections_to(edge.pid, old.endpoint.port))
        old.stop()
        seen = len(answers)
        assert eventually(lambda: len(answers) > seen + 100)
    assert {answer.code for answer in answers} == {200}
    assert late <= CLIENTS


def test_what_envoy_refuses_changes_nothing_and_says_why(edge: Edge) -> None:
    edge.split(100)
    before = edge.envoy.routing()
    with load(edge) as answers:
        with pytest.raises(Rejected, match="malformed IP address: nowhere"):
            edge.envoy.change(lambda routing: routing.with_unit("monolith", Endpoint("nowhere", 80)))
        assert eventually(lambda: len(answers) > 100)
    assert edge.envoy.routing() == before
    assert {answer.code for answer in answers} == {200}
    assert {answer.served_by for answer in answers} == {"inventory"}
    edge.split(0)
    assert edge.ask("GET", "/api/inventory/").served_by == "monolith"


def test_what_envoy_took_of_a_refused_routing_is_taken_back(edge: Edge) -> None:
    # Refusing one cluster, Envoy takes the others of the same file.
    edge.envoy.change(lambda routing: routing.with_module(replace(routing.module("inventory"), home="inventory")))
    with pytest.raises(Rejected):
        edge.envoy.change(
            lambda routing: routing.with_unit("monolith", Endpoint("nowhere", 80)).with_unit("inventory", nobody())
        )
    assert edge.ask("POST", "/api/inventory/", b"x").served_by == "inventory"
    assert edge.ask("POST", "/", b"x").served_by == "monolith"


def test_changes_of_several_processes_do_not_lose_each_other(edge: Edge) -> None:
    changes = """
for number in range(10):
    envoy.change(lambda routing: routing.with_unit(f"{name}{number}", Endpoint("127.0.0.1", 1000 + number)))
"""
    processes = [elsewhere(edge, changes, name) for name in ("a", "b")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert {f"{name}{number}" for name in "ab" for number in range(10)} <= set(edge.envoy.routing().units)


def test_a_change_that_was_killed_in_the_middle_is_made_again_without_a_lost_request(edge: Edge) -> None:
    move = """
class Killed(Envoy):
    def _write_routes(self, routing, version):
        super()._write_routes(routing, version)
        os.kill(os.getpid(), signal.SIGKILL)

Killed(envoy.directory, host="127.0.0.1", port=envoy.port, internal_port=envoy.internal_port,
       admin_port=envoy.admin_port).change(
    lambda routing: routing.with_unit("late", routing.units["inventory"][0]).with_module(
        ModuleRoutes(module="inventory", urls=("/api/inventory/",), home="late")))
"""
    with load(edge) as answers:
        assert elsewhere(edge, move, "once").wait(30) == -signal.SIGKILL
        assert eventually(lambda: answers[-1].served_by == "inventory")
        edge.split(100)
        seen = len(answers)
        assert eventually(lambda: len(answers) > seen + 100)
    assert {answer.code for answer in answers} == {200}
    assert "late" not in edge.envoy.routing().units


def test_a_change_without_envoy_says_so_and_changes_nothing(edge: Edge) -> None:
    away = Envoy(edge.envoy.directory, host="127.0.0.1", port=1, internal_port=2, admin_port=free_port())
    before = away.routing()
    with pytest.raises(EnvoyAway, match=r"manage\.py up"):
        away.change(lambda routing: routing.with_unit("inventory", Endpoint("127.0.0.1", 9)))
    assert away.routing() == before


def test_a_directory_without_a_routing_says_so(edge: Edge) -> None:
    nowhere = Envoy(edge.envoy.directory / "none", host="127.0.0.1", port=1, internal_port=2, admin_port=3)
    with pytest.raises(RoutingError, match=r"manage\.py up"):
        nowhere.routing()


def test_envoy_started_again_routes_as_before(edge: Edge) -> None:
    edge.split(100)
    again = Envoy(
        edge.envoy.directory, host="127.0.0.1", port=free_port(), internal_port=free_port(), admin_port=free_port()
    )
    again.write(edge.envoy.routing())
    process = subprocess.Popen(again.process().command)
    try:
        again.wait()
        assert ask(again.port, "GET", "/api/inventory/").served_by == "inventory"
    finally:
        process.terminate()
        process.wait()


def test_a_second_envoy_does_not_share_the_port(edge: Edge) -> None:
    directory = edge.envoy.directory / "second"
    second = Envoy(directory, host="127.0.0.1", port=edge.envoy.port, internal_port=free_port(), admin_port=free_port())
    second.write(edge.envoy.routing())
    process = subprocess.Popen(second.process().command)
    try:
        assert process.wait(10) != 0
    finally:
        process.kill()
    assert "Address already in use" in (directory / "log" / "envoy.log").read_text()


def test_connections_to_a_unit_end_before_the_unit_ends_them() -> None:
    assert float(IDLE_TIMEOUT.removesuffix("s")) < serving.keepalive


def elsewhere(edge: Edge, code: str, name: str) -> subprocess.Popen[bytes]:
    """Another process that runs this code with an `envoy` of its own."""
    start = """
import os, signal, sys
from pathlib import Path
from extraction.route.envoy import Envoy
from extraction.route.model import Endpoint, ModuleRoutes
directory, port, internal, admin, name = sys.argv[1:]
envoy = Envoy(Path(directory), host="127.0.0.1", port=int(port), internal_port=int(internal), admin_port=int(admin))
"""
    envoy = edge.envoy
    given = [str(envoy.directory), *(str(port) for port in (envoy.port, envoy.internal_port, envoy.admin_port)), name]
    return subprocess.Popen([sys.executable, "-c", start + code, *given], cwd=ROOT)


@contextmanager
def load(edge: Edge, path: str = "/api/inventory/") -> Iterator[list[Answer]]:
    """Customers who read and write all the time on connections that they keep."""
    answers: list[Answer] = []
    over = threading.Event()

    def customer(number: int) -> None:
        with connected(edge.envoy.port) as connection:
            while not over.is_set():
                answers.append(ask_on(connection, "GET", path, cookie=f"cohort={number}"))
                written = ask_on(connection, "POST", path, b"x" * 1000)
                assert written.code == 200, written

    with ThreadPoolExecutor(CLIENTS) as pool:
        customers = [pool.submit(customer, number) for number in range(CLIENTS)]
        try:
            assert eventually(lambda: len(answers) > CLIENTS)
            yield answers
        finally:
            over.set()
    for each in customers:
        each.result()


def _connections_to(pid: int, port: int) -> list[object]:
    return [each for each in psutil.Process(pid).net_connections() if each.raddr and each.raddr.port == port]
