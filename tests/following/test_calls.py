"""A contract call whose module moves: answered once, here or by the new home."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from contracts.inventory import Inventory, Line, Quote
from contracts.runtime import NotBound, Remote, Unavailable, calls, transaction, use
from contracts.runtime.configuration import configuration
from contracts.runtime.http import client
from contracts.runtime.http.deadline import within
from extraction.boundaries.operations import Operation
from extraction.placement import where
from shop.wiring import resolver
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.urls import rows, write

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
NOTHING = Quote(lines=(), total_cents=0, currency="EUR")


class Writing:
    """An inventory whose quote is written down. What happens before is told it, attempt by attempt."""

    def __init__(self) -> None:
        self.before: list[Callable[[], Any]] = []
        self.asked = 0

    def quote(self, *, lines: tuple[Line, ...]) -> Quote:
        self.asked += 1
        if self.before:
            self.before.pop(0)()
        with transaction("inventory"):
            write("inventory")
        return NOTHING


@pytest.fixture
def writing(monkeypatch: pytest.MonkeyPatch) -> Writing:
    bound = Writing()
    monkeypatch.setitem(calls._implementations, "inventory", bound)
    return bound


@pytest.fixture
def elsewhere(live_server: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What lives elsewhere is asked at a server of this process, which is as little at home as it is."""

    def resolve(module: str) -> Remote | None:
        return None if where.place(module).here else Remote(unit=ELSEWHERE, url=live_server.url)

    monkeypatch.setattr(configuration, "resolve", resolve)
    client._breaker.cache_clear()
    yield
    client._breaker.cache_clear()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """What happens after each answer of the other side, in order."""
    after: list[Callable[[], Any]] = []
    send = client._send

    def noted(*given: Any) -> Any:
        response = send(*given)
        if after:
            after.pop(0)()
        return response

    monkeypatch.setattr(client, "_send", noted)
    return after


def test_a_call_in_motion_is_tried_again_here(inventory: Moving, writing: Writing) -> None:
    with inventory.in_motion() as switch:
        writing.before[:] = [lambda: None, lambda: None, switch.give_up]
        assert use(Inventory).quote(lines=()) == NOTHING
    assert (writing.asked, rows("inventory")) == (3, 1)


@pytest.mark.usefixtures("elsewhere")
def test_a_call_to_a_module_that_left_is_asked_again_until_the_new_home_answers(
    inventory: Moving, writing: Writing, answers: list[Callable[[], Any]]
) -> None:
    """Refused here, sent there, refused there too until the row arrives: and done once."""
    assert where.place("inventory").here
    inventory.leave()
    answers[:] = [lambda: None, inventory.arrive]
    assert use(Inventory).quote(lines=()) == NOTHING
    assert answers == []
    assert rows("inventory") == 1


@pytest.mark.usefixtures("elsewhere")
def test_a_call_that_may_not_be_repeated_is_asked_again_too_when_it_was_not_begun(
    inventory: Moving, writing: Writing, answers: list[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from contracts.runtime.definitions import definitions

    quote = definitions()["inventory"].methods["quote"]
    monkeypatch.setitem(vars(quote), "safe_to_repeat", False)
    inventory.leave()
    answers[:] = [lambda: None, inventory.arrive]
    with Operation("request", "test") as operation:
        assert use(Inventory).quote(lines=()) == NOTHING
    assert rows("inventory") == 1
    assert operation.outside == ["inventory.quote"]


@pytest.mark.usefixtures("elsewhere")
def test_a_call_is_not_sent_on_for_longer_than_the_caller_waits(inventory: Moving, writing: Writing) -> None:
    inventory.leave()
    with within(0.3), pytest.raises(Unavailable, match=f"{ELSEWHERE}:"):
        use(Inventory).quote(lines=())
    assert rows("inventory") == 0


def test_reads_are_declined_by_a_unit_that_knows_that_the_module_left(inventory: Moving) -> None:
    """They are not fenced: nothing else would stop it from answering with what it has left."""
    token = client._service_token("inventory")

    def ask() -> int:
        path = "/internal/contracts/inventory/categories"
        response = Client(headers={"authorization": f"Bearer {token}"}).post(path, "{}", "application/json")
        return response.status_code

    inventory.leave()
    where.forget()
    assert ask() == 421
    inventory.arrive()
    assert ask() == 200, "what it knew of a second ago is asked anew before it declines"


def test_a_call_that_was_refused_half_way_is_not_sent_on(inventory: Moving, writing: Writing, elsewhere: None) -> None:
    def write_orders() -> None:
        with transaction("orders"):
            write("orders")

    inventory.leave()
    writing.before[:] = [write_orders]
    where._remember("inventory", where.Place(home=settings.UNIT, epoch=0, here=True))
    with Operation("request", "test") as operation, pytest.raises(Unavailable, match="a part of it was done"):
        use(Inventory).quote(lines=())
    assert (writing.asked, rows("orders")) == (1, 1)
    assert operation.refusal is not None
    assert not operation.untouched


@pytest.mark.usefixtures("elsewhere")
def test_a_call_that_swallows_its_refusal_has_none_of_its_answer_believed(
    inventory: Moving, monkeypatch: pytest.MonkeyPatch, answers: list[Callable[[], Any]]
) -> None:
    class Careless(Writing):
        def quote(self, *, lines: tuple[Line, ...]) -> Quote:
            try:
                return super().quote(lines=lines)
            except DatabaseError:
                return NOTHING

    monkeypatch.setitem(calls._implementations, "inventory", Careless())
    assert where.place("inventory").here
    inventory.leave()
    answers[:] = [inventory.arrive]
    assert use(Inventory).quote(lines=()) == NOTHING
    assert rows("inventory") == 1


def test_a_module_elsewhere_without_an_address_says_what_to_set(inventory: Moving) -> None:
    inventory.leave()
    where.forget()
    with pytest.raises(NotBound, match=r"inventory lives in unit 'warehouse', and UNITS_URL"):
        use(Inventory).categories()


def test_where_a_module_is_asked(inventory: Moving, settings: Any) -> None:
    settings.UNITS_URL = "http://127.0.0.1:9/modules"
    assert resolver()("inventory") is None
    inventory.leave()
    where.forget()
    assert resolver()("inventory") == Remote(unit=ELSEWHERE, url="http://127.0.0.1:9/modules/inventory")


def test_where_a_module_that_is_not_installed_is_asked(settings: Any) -> None:
    settings.MODULES = ["inventory"]
    settings.UNIT = "inventory"
    assert resolver()("users") is None
    settings.UNITS_URL = "http://127.0.0.1:9/modules"
    assert resolver()("users") == Remote(unit=settings.ORIGIN_UNIT, url="http://127.0.0.1:9/modules/users")
    settings.UNIT = settings.ORIGIN_UNIT
    assert resolver()("users") is None, "who would know it, if not the unit that all others left"


def test_the_token_of_a_call_is_for_the_module_wherever_it_lives(live_server: LiveServer) -> None:
    from contracts.runtime.definitions import definitions

    method = definitions()["inventory"].methods["categories"]
    assert client.send(method, {}, Remote(unit="any", url=live_server.url)) == ()
