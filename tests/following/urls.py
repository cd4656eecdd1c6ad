"""Views that do what views should not, each under the URLs of inventory."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from django.db import DatabaseError, connections
from django.db import transaction as django_transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from contracts.runtime import transaction

during: list[Callable[[], Any]] = []
"""What happens between two statements of a view, in order; once each."""
bodies: list[bytes] = []
"""What the views were sent, attempt by attempt."""


def write(module: str) -> None:
    """A row of a table that every module has."""
    with connections[module].cursor() as cursor:
        cursor.execute(
            "INSERT INTO outbox (id, type, key, data, traceparent) VALUES (%s, 'test', '', '{}', '')", [uuid4()]
        )


def rows(module: str) -> int:
    with connections[module].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM outbox WHERE type = 'test'")
        return int(cursor.fetchone()[0])


def meanwhile() -> None:
    if during:
        during.pop(0)()


@csrf_exempt
def writes(request: HttpRequest) -> HttpResponse:
    bodies.append(request.body)
    meanwhile()
    with transaction("inventory"):
        write("inventory")
    return HttpResponse("written")


@csrf_exempt
def takes_an_upload(request: HttpRequest) -> HttpResponse:
    while request.read(5):
        pass
    with transaction("inventory"):
        write("inventory")
    return HttpResponse("written")


@csrf_exempt
def writes_after_orders(request: HttpRequest) -> HttpResponse:
    with transaction("orders"):
        write("orders")
    with transaction("inventory"):
        write("inventory")
    return HttpResponse("written")


@csrf_exempt
def swallows_in_a_savepoint(request: HttpRequest) -> HttpResponse:
    with transaction("inventory"):
        with connections["inventory"].cursor() as cursor:
            cursor.execute("CREATE TABLE half (done int)")
        try:
            with django_transaction.atomic(using="inventory"):
                write("inventory")
        except DatabaseError:
            pass
    return HttpResponse("half of it")


@csrf_exempt
def swallows_and_keeps_a_session(request: HttpRequest) -> HttpResponse:
    try:
        with transaction("inventory"):
            write("inventory")
    except DatabaseError:
        request.session["tried"] = True
    return HttpResponse("half of it")


@csrf_exempt
def saves_a_session_first(request: HttpRequest) -> HttpResponse:
    request.session["visits"] = request.session.get("visits", 0) + 1
    request.session.save()
    with transaction("inventory"):
        write("inventory")
    return HttpResponse("written")


@csrf_exempt
def swallows_and_writes_elsewhere(request: HttpRequest) -> HttpResponse:
    try:
        with transaction("inventory"):
            write("inventory")
    except DatabaseError:
        pass
    with transaction("orders"):
        write("orders")
    return HttpResponse("half of it")


@csrf_exempt
def writes_from_an_old_snapshot(request: HttpRequest) -> HttpResponse:
    with transaction("inventory"), connections["inventory"].cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM outbox")
        meanwhile()
        write("inventory")
    return HttpResponse("written")


urlpatterns = [
    path("api/inventory/writes/", writes),
    path("api/orders/writes/", writes),
    path("api/inventory/uploads/", takes_an_upload),
    path("api/inventory/writes-after-orders/", writes_after_orders),
    path("api/inventory/swallows/", swallows_in_a_savepoint),
    path("api/inventory/swallows-and-writes-elsewhere/", swallows_and_writes_elsewhere),
    path("api/inventory/swallows-and-keeps-a-session/", swallows_and_keeps_a_session),
    path("api/inventory/saves-a-session-first/", saves_a_session_first),
    path("api/inventory/old-snapshot/", writes_from_an_old_snapshot),
]
