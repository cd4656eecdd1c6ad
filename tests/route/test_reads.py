"""How the reads of a module are split, who answers when a unit fails, and what is counted."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from extraction.platform.protocol import Attempts
from tests.route.conftest import Edge
from tests.route.upstreams import Answer, Request, ask_on, connected, failing, fine, nobody, vanish

COHORTS = [f"cohort={number * 7919:x}" for number in range(300)]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_go_to_the_candidate_by_its_share(edge: Edge, method: str) -> None:
    edge.split(100)
    assert edge.ask(method, "/api/inventory/items/").served_by == "inventory"
    edge.split(0)
    assert edge.ask(method, "/api/inventory/items/").served_by == "monolith"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_everything_else_goes_home(edge: Edge, method: str) -> None:
    edge.split(100)
    assert edge.ask(method, "/api/inventory/items/").served_by == "monolith"


def test_other_paths_are_not_split(edge: Edge) -> None:
    edge.split(100)
    for path in ("/", "/api/inventory-report/", "/api/orders/"):
        assert edge.ask("GET", path).served_by == "monolith"


def test_after_the_switch_every_method_goes_to_the_new_home(edge: Edge) -> None:
    edge.envoy.change(lambda routing: routing.with_module(replace(routing.module("inventory"), home="inventory")))
    for method in ("GET", "POST", "DELETE"):
        assert edge.ask(method, "/api/inventory/items/").served_by == "inventory"
    assert edge.ask("POST", "/api/orders/").served_by == "monolith"


def test_a_growing_share_never_moves_anybody_back(edge: Edge) -> None:
    before: set[str] = set()
    for percent in (1, 10, 50, 90, 100):
        edge.split(percent)
        now = _served_by_candidate(edge, COHORTS)
        assert before <= now
        assert len(now) == pytest.approx(len(COHORTS) * percent / 100, abs=40)
        before = now
    assert before == set(COHORTS)


def test_a_cohort_stays_where_it_is_whatever_else_the_request_carries(edge: Edge) -> None:
    edge.split(50)
    first = _served_by_candidate(edge, COHORTS[:40])
    assert 0 < len(first) < 40
    with connected(edge.envoy.port) as connection:
        for cohort in COHORTS[:40]:
            answer = ask_on(connection, "GET", "/api/inventory/", cookie=cohort, authorization=f"Bearer {cohort}x")
            assert (answer.served_by == "inventory") == (cohort in first)


def test_a_token_stands_for_the_cookie_that_a_program_does_not_have(edge: Edge) -> None:
    edge.split(50)
    sides: list[str] = []
    for number in range(40):
        answers = {edge.ask("GET", "/api/inventory/", authorization=f"Bearer {number}").served_by for _ in range(3)}
        assert len(answers) == 1
        sides += answers
    assert set(sides) == {"monolith", "inventory"}


def _unavailable(request: Request) -> Answer:
    return Answer(503)


@pytest.mark.parametrize("breakage", [failing, _unavailable, vanish])
def test_the_home_answers_a_read_that_the_candidate_fails(edge: Edge, breakage: Callable[[Request], Answer]) -> None:
    edge.split(100)
    edge.inventory.answer = breakage
    before = _attempts(edge)
    answer = edge.ask("GET", "/api/inventory/items/?q=1")
    assert (answer.code, answer.served_by) == (200, "monolith")
    assert edge.monolith.asked[-1].path == "/api/inventory/items/?q=1"
    assert _since(edge, before) == {"inventory": Attempts(total=1, failed=1), "monolith": Attempts(total=0, failed=0)}


def test_the_home_answers_when_nobody_listens_at_the_candidate(edge: Edge) -> None:
    edge.envoy.change(lambda routing: routing.with_unit("inventory", nobody()))
    edge.split(100)
    before = _attempts(edge)
    assert edge.ask("GET", "/api/inventory/").served_by == "monolith"
    assert _since(edge, before)["inventory"] == Attempts(total=1, failed=1)


def test_the_home_answers_when_the_candidate_does_not_in_time(edge: Edge) -> None:
    edge.split(100)
    over = threading.Event()

    def hang(request: Request) -> Answer:
        over.wait(30)
        return fine(request)

    edge.inventory.answer = hang
    before = _attempts(edge)
    try:
        assert edge.ask("GET", "/api/inventory/").served_by == "monolith"
    finally:
        over.set()
    assert _since(edge, before)["inventory"] == Attempts(total=1, failed=1)


def test_a_candidate_that_declines_has_not_failed(edge: Edge) -> None:
    edge.split(100)
    edge.inventory.answer = lambda request: Answer(421)
    before = _attempts(edge)
    assert edge.ask("GET", "/api/inventory/").served_by == "monolith"
    assert _since(edge, before)["inventory"] == Attempts(total=1, failed=0)


def test_the_homes_own_failure_is_its_answer_and_is_counted(edge: Edge) -> None:
    edge.split(0)
    edge.monolith.answer = failing
    before = _attempts(edge)
    assert edge.ask("GET", "/api/inventory/").code == 500
    assert len(edge.monolith.asked) == 1
    assert _since(edge, before) == {"inventory": Attempts(total=0, failed=0), "monolith": Attempts(total=1, failed=1)}


def test_a_candidate_without_a_share_answers_what_the_home_cannot(edge: Edge) -> None:
    edge.split(0)
    assert edge.ask("GET", "/api/inventory/").served_by == "monolith"
    edge.monolith.answer = _unavailable
    assert edge.ask("GET", "/api/inventory/").served_by == "inventory"
    assert edge.ask("POST", "/api/inventory/").code == 503
    edge.envoy.change(lambda routing: routing.with_unit("monolith", nobody()))
    assert edge.ask("GET", "/api/inventory/").served_by == "inventory"


def test_reads_that_succeed_are_counted_where_they_went(edge: Edge) -> None:
    edge.split(50)
    before = _attempts(edge)
    candidates = len(_served_by_candidate(edge, COHORTS[:100]))
    edge.ask("POST", "/api/inventory/", b"x")
    assert _since(edge, before) == {
        "inventory": Attempts(total=candidates, failed=0),
        "monolith": Attempts(total=100 - candidates, failed=0),
    }


def test_counts_survive_another_share_and_other_endpoints(edge: Edge) -> None:
    edge.split(100)
    edge.inventory.answer = failing
    before = _attempts(edge)
    edge.ask("GET", "/api/inventory/")
    edge.split(50)
    edge.envoy.change(lambda routing: routing.with_unit("inventory", edge.inventory.endpoint, nobody()))
    edge.envoy.change(lambda routing: routing.with_unit("inventory", edge.inventory.endpoint))
    assert _since(edge, before)["inventory"] == Attempts(total=1, failed=1)


@pytest.mark.parametrize("breakage", [failing, _unavailable, vanish])
def test_a_write_is_never_sent_again(edge: Edge, breakage: Callable[[Request], Answer]) -> None:
    edge.split(100)
    edge.monolith.answer = breakage
    assert edge.ask("POST", "/api/inventory/", b"x").code in (500, 503)
    assert len(edge.monolith.asked) == 1
    assert edge.inventory.asked == []


def test_a_write_that_the_unit_declines_is_tried_again_there(edge: Edge) -> None:
    edge.monolith.answer = lambda request: fine(request) if len(edge.monolith.asked) > 2 else Answer(421)
    assert edge.ask("POST", "/api/inventory/", b"x" * 20_000).code == 200
    assert [len(request.body) for request in edge.monolith.asked] == [20_000] * 3


def _served_by_candidate(edge: Edge, cohorts: list[str]) -> set[str]:
    with connected(edge.envoy.port) as connection:
        return {
            cohort
            for cohort in cohorts
            if ask_on(connection, "GET", "/api/inventory/", cookie=cohort).served_by == "inventory"
        }


def _attempts(edge: Edge) -> dict[str, Attempts]:
    return {unit: edge.envoy.attempts("inventory", unit) for unit in ("inventory", "monolith")}


def _since(edge: Edge, before: dict[str, Attempts]) -> dict[str, Attempts]:
    return {
        unit: Attempts(total=now.total - before[unit].total, failed=now.failed - before[unit].failed)
        for unit, now in _attempts(edge).items()
    }
