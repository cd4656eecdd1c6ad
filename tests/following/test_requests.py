"""A request whose module moves: tried again, redirected, or ambiguous, and never done twice."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import close_old_connections, connections
from django.test import Client

from contracts.runtime import transaction
from extraction.placement import middleware, where
from tests.following import urls
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.urls import rows

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.urls("tests.following.urls"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    urls.during.clear()
    urls.bodies.clear()
    yield
    urls.during.clear()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "PATIENCE_S", 0.05)


def post(path: str, body: str = "{}", **headers: str) -> Any:
    return Client(headers=headers).post(path, body, content_type="application/json")


def nothing() -> None:
    pass


def test_a_fenced_module_that_does_not_move_is_as_before(inventory: Moving) -> None:
    assert post("/api/inventory/writes/").content == b"written"
    assert rows("inventory") == 1


def test_while_the_module_is_in_motion_the_request_is_tried_again_with_its_body(inventory: Moving) -> None:
    with inventory.in_motion() as switch:
        urls.during[:] = [nothing, nothing, switch.give_up]
        response = post("/api/inventory/writes/", '{"quantity": 3}')
    assert response.content == b"written"
    assert urls.bodies == [b'{"quantity": 3}'] * 3
    assert rows("inventory") == 1


def test_a_request_that_comes_during_the_switch_is_redirected_when_that_is_over(inventory: Moving) -> None:
    with inventory.in_motion() as switch:
        urls.during[:] = [nothing, switch.finish]
        response = post("/api/inventory/writes/?page=2&q=%C3%BC")
    assert response.status_code == 307
    assert (
        response["Location"]
        == f"http://e{inventory.place()[1]}.{ELSEWHERE}.inventory.internal/api/inventory/writes/?page=2&q=%C3%BC"
    )
    assert rows("inventory") == 0


@pytest.mark.usefixtures("impatient")
def test_a_motion_that_does_not_end_is_told_to_the_client_in_time(inventory: Moving) -> None:
    with inventory.in_motion():
        response = post("/api/inventory/writes/")
    assert (response.status_code, response["Retry-After"], response.json()["code"]) == (503, "1", "in_motion")
    assert len(urls.bodies) > 1


def test_a_module_that_moved_is_known_to_have_moved_at_once(inventory: Moving) -> None:
    assert where.place("inventory").here
    epoch = inventory.leave()
    post("/api/inventory/writes/")
    assert where.place("inventory") == where.Place(home=ELSEWHERE, epoch=epoch, here=False)


def test_what_has_committed_is_never_done_again(inventory: Moving, caplog: pytest.LogCaptureFixture) -> None:
    """Finding 1: a replay would double the first of two writes."""
    inventory.leave()
    with caplog.at_level(logging.WARNING):
        response = post("/api/inventory/writes-after-orders/")
    assert (response.status_code, response["X-Ambiguous"], response.json()["code"]) == (503, "1", "ambiguous")
    assert "Retry-After" not in response
    assert rows("orders") == 1
    assert any("ambiguous" in record.getMessage() for record in caplog.records)


def test_what_has_committed_is_not_tried_again_in_motion_either(inventory: Moving) -> None:
    with inventory.in_motion():
        response = post("/api/inventory/writes-after-orders/")
    assert response.json()["code"] == "ambiguous"
    assert rows("orders") == 1


@pytest.mark.parametrize("guards", ["off", "log"])
def test_commits_are_counted_whatever_the_guards_are_set_to(inventory: Moving, settings: Any, guards: str) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, "guards": guards}
    inventory.leave()
    assert post("/api/inventory/writes-after-orders/").json()["code"] == "ambiguous"


def test_a_refusal_that_is_swallowed_in_a_savepoint_lets_nothing_commit(inventory: Moving) -> None:
    """Finding 15."""
    inventory.leave()
    assert post("/api/inventory/swallows/").status_code == 307
    with connections["inventory"].cursor() as cursor:
        cursor.execute("SELECT to_regclass('half')")
        assert cursor.fetchone() == (None,), "the rest of the transaction was committed"


def test_after_a_swallowed_refusal_no_other_module_is_written_to_either(inventory: Moving) -> None:
    inventory.leave()
    assert post("/api/inventory/swallows-and-writes-elsewhere/").status_code == 307
    assert rows("orders") == 0


def test_after_a_swallowed_refusal_no_session_is_saved_so_the_request_follows(inventory: Moving) -> None:
    """Sessions are saved on the way out, when the answer is to be thrown away."""
    inventory.leave()
    client = Client(raise_request_exception=False)  # the swallowed refusal is logged as an error of the code
    response = client.post("/api/inventory/swallows-and-keeps-a-session/")
    assert response.status_code == 307
    assert Session.objects.count() == 0


def test_a_session_that_was_saved_before_is_as_committed_as_a_row(inventory: Moving) -> None:
    """Done again, this visit would count twice, and whoever just signed in would come with the key of a session that is
    gone."""
    inventory.leave()
    assert post("/api/inventory/saves-a-session-first/").json()["code"] == "ambiguous"
    assert [session.get_decoded() for session in Session.objects.all()] == [{"visits": 1}]


def test_a_request_of_any_method_keeps_its_body(inventory: Moving) -> None:
    with inventory.in_motion() as switch:
        urls.during[:] = [nothing, switch.give_up]
        answer = Client().generic("GET", "/api/inventory/writes/", '{"q": 1}', content_type="application/json")
    assert answer.content == b"written"
    assert urls.bodies == [b'{"q": 1}'] * 2


def test_a_writer_with_an_old_snapshot_follows_too(inventory: Moving) -> None:
    """Finding 14: outside READ COMMITTED the fence ends in 40001, which says nothing of a module."""
    urls.during[:] = [inventory.leave]
    response = post("/api/inventory/old-snapshot/")
    assert response.status_code == 307
    assert response["Location"].startswith(f"http://e{inventory.place()[1]}.{ELSEWHERE}.inventory.internal/")


def test_a_writer_with_an_old_snapshot_is_done_again_here_when_the_module_came_back(inventory: Moving) -> None:
    def there_and_back() -> None:
        inventory.leave()
        inventory.arrive()

    urls.during[:] = [there_and_back]
    assert post("/api/inventory/old-snapshot/").content == b"written"
    assert rows("inventory") == 1


def test_a_request_follows_only_the_module_of_its_url(inventory: Moving, caplog: pytest.LogCaptureFixture) -> None:
    """Finding 16: another unit does not answer this path."""
    inventory.leave()
    response = post("/api/orders/writes/")
    assert (response.status_code, response.json()["code"]) == (503, "moved")
    assert ELSEWHERE not in response.json()["detail"], "a customer reads this"
    assert any("contract call" in record.getMessage() for record in caplog.records)
    assert response["Retry-After"] == "1"


def test_a_body_that_is_too_large_to_keep_is_not_followed(inventory: Moving, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    inventory.leave()
    response = post("/api/inventory/uploads/", "x" * 11)
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert "too large" in response.json()["detail"]


def test_the_home_waits_for_the_row_that_the_redirect_spoke_of(
    inventory: Moving, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = inventory.leave() + 1
    asked, read = threading.Event(), where.place_now

    def place_now(module: str) -> where.Place:
        found = read(module)
        asked.set()
        return found

    monkeypatch.setattr(where, "place_now", place_now)

    def arrive() -> None:
        asked.wait(10)
        inventory.arrive()

    arrival = threading.Thread(target=arrive)
    arrival.start()
    response = post("/api/inventory/writes/", **{"X-Placement-Epoch": str(epoch)})
    arrival.join()
    assert response.content == b"written"
    assert len(urls.bodies) == 1, "it waited before it began"


@pytest.mark.usefixtures("impatient")
def test_a_row_that_does_not_arrive_is_told_to_the_client(inventory: Moving) -> None:
    epoch = inventory.place()[1] + 1
    response = post("/api/inventory/writes/", **{"X-Placement-Epoch": str(epoch)})
    assert (response.status_code, response["Retry-After"], response.json()["code"]) == (503, "1", "not_here_yet")
    assert urls.bodies == []


def test_a_redirect_that_comes_late_is_sent_on(inventory: Moving) -> None:
    epoch = inventory.leave()
    response = post("/api/inventory/writes/", **{"X-Placement-Epoch": str(epoch - 1)})
    assert response["Location"].startswith(f"http://e{epoch}.{ELSEWHERE}.inventory.internal/")
    assert urls.bodies == []


@pytest.mark.parametrize("epoch", ["", "soon", "-1", "9" * 40, "²"])
def test_an_epoch_that_is_none_is_ignored(inventory: Moving, epoch: str) -> None:
    assert post("/api/inventory/writes/", **{"X-Placement-Epoch": epoch}).content == b"written"


def test_who_cannot_ask_in_a_transaction_keeps_nobody_else_from_asking(inventory: Moving) -> None:
    assert where.place("inventory").here
    inventory.leave()
    where._known["inventory"] = (where._known["inventory"][0], 0.0)
    with transaction("inventory"):
        assert where.place("inventory").here
    assert not where.place("inventory").here


def test_a_placement_that_cannot_be_read_is_no_secret(inventory: Moving, caplog: pytest.LogCaptureFixture) -> None:
    """A unit that goes on with what it knew serves what may be stale: somebody has to see it."""
    assert where.place("inventory").here
    where._known["inventory"] = (where._known["inventory"][0], 0.0)
    inventory.admin.execute("alter table inventory.inventory_placement rename to hidden")
    try:
        with caplog.at_level(logging.WARNING):
            assert where.place("inventory").here
    finally:
        inventory.admin.execute("alter table inventory.hidden rename to inventory_placement")
    assert any("placement not read" in record.getMessage() for record in caplog.records)


def test_a_lost_database_does_not_forget_where_the_module_lives(inventory: Moving) -> None:
    inventory.leave()
    assert not where.place("inventory").here
    where._known["inventory"] = (where._known["inventory"][0], 0.0)
    connection = connections["inventory"]
    connection.close()
    port = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = 1
    try:
        assert where.place("inventory").home == ELSEWHERE
    finally:
        connection.settings_dict["PORT"] = port
        connection.close()
        close_old_connections()
