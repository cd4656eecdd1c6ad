"""A module that moves, under ASGI: Django's own handler, spoken to as a server does, on a real database."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from contracts.runtime import transaction
from tests.following import urls
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.urls import meanwhile, rows, write

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.urls("tests.following.test_asgi"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]


def write_inventory() -> None:
    with transaction("inventory"):
        write("inventory")


def write_orders() -> None:
    with transaction("orders"):
        write("orders")


@csrf_exempt
async def writes(request: HttpRequest) -> HttpResponse:
    urls.bodies.append(request.body)
    await sync_to_async(meanwhile)()
    await sync_to_async(write_inventory)()
    return HttpResponse("written")


@csrf_exempt
async def writes_side_by_side(request: HttpRequest) -> HttpResponse:
    """Each in a task of its own, which has a copy of the request's context."""
    await asyncio.gather(sync_to_async(write_orders)(), asyncio.sleep(0))
    await asyncio.gather(sync_to_async(write_inventory)(), asyncio.sleep(0))
    return HttpResponse("written")


@csrf_exempt
async def swallows(request: HttpRequest) -> HttpResponse:
    with suppress(DatabaseError):
        await sync_to_async(write_inventory)()
    await sync_to_async(write_orders)()
    return HttpResponse("half of it")


urlpatterns = [
    path("api/inventory/sync/", urls.writes),
    path("api/inventory/async/", writes),
    path("api/inventory/sync-after-orders/", urls.writes_after_orders),
    path("api/inventory/async-after-orders/", writes_side_by_side),
    path("api/inventory/swallows/", swallows),
]
both = pytest.mark.parametrize("kind", ["sync", "async"])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    urls.during.clear()
    urls.bodies.clear()
    yield
    urls.during.clear()


def post(*paths: str, body: bytes = b"{}") -> list[tuple[int, dict[str, str], bytes]]:
    """The answers to these requests, made at the same time."""

    async def all_of_them() -> list[tuple[int, dict[str, str], bytes]]:
        application = get_asgi_application()
        return list(await asyncio.gather(*(_post(application, path, body) for path in paths)))

    return asyncio.run(all_of_them())


async def _post(application: Any, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"page=2",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }
    server: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
    await server.send_input({"type": "http.request", "body": body[:3], "more_body": True})
    await server.send_input({"type": "http.request", "body": body[3:], "more_body": False})
    start = await server.receive_output(timeout=60)
    headers = {name.decode().title(): value.decode() for name, value in start["headers"]}
    content = b""
    while True:
        part = await server.receive_output(timeout=60)
        content += part.get("body", b"")
        if not part.get("more_body"):
            return start["status"], headers, content


def nothing() -> None:
    pass


def during(*steps: Callable[[], Any]) -> None:
    urls.during[:] = steps


@both
def test_while_the_module_is_in_motion_the_request_is_tried_again_with_its_body(inventory: Moving, kind: str) -> None:
    with inventory.in_motion() as switch:
        during(nothing, nothing, switch.give_up)
        ((status, _, content),) = post(f"/api/inventory/{kind}/", body=b'{"quantity": 3}')
    assert (status, content) == (200, b"written")
    assert urls.bodies == [b'{"quantity": 3}'] * 3
    assert rows("inventory") == 1


@both
def test_when_the_module_has_moved_the_request_is_redirected(inventory: Moving, kind: str) -> None:
    epoch = inventory.leave()
    ((status, headers, _),) = post(f"/api/inventory/{kind}/")
    assert status == 307
    assert headers["Location"] == f"http://e{epoch}.{ELSEWHERE}.inventory.internal/api/inventory/{kind}/?page=2"
    assert rows("inventory") == 0


@both
def test_what_has_committed_is_never_done_again(inventory: Moving, kind: str) -> None:
    inventory.leave()
    ((status, headers, _),) = post(f"/api/inventory/{kind}-after-orders/")
    assert (status, headers["X-Ambiguous"], rows("orders")) == (503, "1", 1)


def test_after_a_swallowed_refusal_nothing_is_committed(inventory: Moving) -> None:
    inventory.leave()
    ((status, _, _),) = post("/api/inventory/swallows/")
    assert (status, rows("orders")) == (307, 0)


def test_requests_at_the_same_time_know_nothing_of_each_other(inventory: Moving) -> None:
    """One has committed and is not repeated, the others have not and are."""
    inventory.leave()
    answers = post("/api/inventory/sync/", "/api/inventory/async-after-orders/", "/api/inventory/async/")
    assert [status for status, _, _ in answers] == [307, 503, 307]
    assert rows("orders") == 1
