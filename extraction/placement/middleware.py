"""Every request is an operation, and one that a database refused is done again, here or at the module's home."""

import time
from collections.abc import Callable
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse

from extraction import project
from extraction.boundaries.operations import Operation, Refusal, current
from extraction.logs import get_logger
from extraction.placement import where

log = get_logger(__name__)

PAUSE_S = 0.005
"""Before a request is tried again while its module is in motion."""
PATIENCE_S = 2.0
"""How long a request is tried again, and how long a redirected one waits for the placement row."""
POLL_S = 0.002
EPOCH_HEADER = "X-Placement-Epoch"
"""Of a redirected request: the epoch in which this unit is the home. The proxy lets none in from outside."""
_LONGEST_EPOCH = 18


class FollowingMiddleware:
    """Follows a module that moves, for WSGI and ASGI. Stands outside of whatever opens a session or a transaction.

    A request of which nothing was committed and nothing done outside is tried again while its module is in motion, and
    redirected when it has moved; the proxy follows that redirect itself. Any other that is refused is ambiguous: 503,
    counted in the log, never repeated. A body beyond DATA_UPLOAD_MAX_MEMORY_SIZE is not kept, so it cannot be sent
    again: 503 and Retry-After.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if (epoch := _epoch_of(request)) is not None and (answer := _wait_for(epoch, request)) is not None:
            return answer
        given, body = dict(request.META), _body(request)
        end = time.monotonic() + PATIENCE_S
        while True:
            with Operation("request", f"{request.method} {request.path}") as operation:
                response = self.get_response(request)
            if operation.refusal is None:
                return response
            if not operation.untouched:
                return _ambiguous(operation, operation.refusal)
            if body is None:
                return _later(
                    "body_too_large_to_follow",
                    f"{operation.refusal.module} is moving, and this body is too large to be kept",
                )
            if not operation.refusal.in_motion:
                return _moved(request, operation.refusal)
            if time.monotonic() >= end:
                return _later("in_motion", f"{operation.refusal.module} is in motion")
            time.sleep(PAUSE_S)
            request = _afresh(request, given, body)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """A refused view has no 500 to log: what is answered here is replaced by what the refusal asks for."""
        operation = current()
        if operation is None or operation.refusal is None:
            return None
        return HttpResponse(status=HTTPStatus.SERVICE_UNAVAILABLE)


def _body(request: HttpRequest) -> bytes | None:
    """Read before the view does, so that it can be read again. None when it is too large to be kept."""
    try:
        return request.body
    except RequestDataTooBig:
        return None


def _afresh(request: HttpRequest, given: dict[str, Any], body: bytes) -> HttpRequest:
    """The request as it came in: views and middlewares leave their marks on it."""
    fresh: HttpRequest
    if isinstance(request, ASGIRequest):
        fresh = ASGIRequest(request.scope, BytesIO(body))
    else:
        fresh = WSGIRequest({**given, "wsgi.input": BytesIO(body)})
    if getattr(request, "_dont_enforce_csrf_checks", False):  # Django's test client says so on the request
        setattr(fresh, "_dont_enforce_csrf_checks", True)  # noqa: B010
    return fresh


def _moved(request: HttpRequest, refusal: Refusal) -> HttpResponse:
    """A redirect to the home, if the URL is one of the module's: only then does the home answer it."""
    if module_of(request) != refusal.module:
        log.error(
            "a request wrote to a module that is not its URL's; ask it with a contract call, or put the path under its "
            "urls in EXTRACTION",
            path=request.path,
            module=refusal.module,
            home=refusal.home,
        )
        return _later("moved", "What this is about has just moved")
    return _redirect(request, refusal.module, refusal.home, refusal.epoch)


def _redirect(request: HttpRequest, module: str, home: str, epoch: int) -> HttpResponse:
    """A redirect carries no header, so the epoch is in the name of the host."""
    return HttpResponse(
        status=HTTPStatus.TEMPORARY_REDIRECT,
        headers={"Location": f"http://e{epoch}.{home}.{module}.internal{request.get_full_path()}"},
    )


def _epoch_of(request: HttpRequest) -> int | None:
    given = request.headers.get(EPOCH_HEADER, "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= _LONGEST_EPOCH else None


def _wait_for(epoch: int, request: HttpRequest) -> HttpResponse | None:
    """Until the placement row says what the redirect said. Redirects further what has moved on meanwhile.

    Before the first statement of the request: a transaction that waited here could hold up what it waits for.
    """
    module = module_of(request)
    if module is None:
        return None
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            place = where.place_now(module)
        except (DatabaseError, InterfaceError):
            place = None
        if place is not None and place.epoch >= epoch:
            return None if place.here else _redirect(request, module, place.home, place.epoch)
        if time.monotonic() >= end:
            return _later("not_here_yet", f"{module} was to be here with epoch {epoch} and is not yet")
        time.sleep(POLL_S)


def module_of(request: HttpRequest) -> str | None:
    """The module whose `urls` the path is under, the longest prefix first."""
    found = [
        (len(prefix), module.name)
        for module in project.modules().values()
        for prefix in module.urls
        if request.path.startswith(prefix)
    ]
    return max(found)[1] if found else None


def _ambiguous(operation: Operation, refusal: Refusal) -> HttpResponse:
    log.warning(
        "request refused half-way",
        code="ambiguous",
        request=operation.name,
        module=refusal.module,
        committed=dict(operation.committed),
        outside=operation.outside,
    )
    return JsonResponse(
        {
            "detail": "A part of this was done and the rest was refused; look before you send it again.",
            "code": "ambiguous",
        },
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"X-Ambiguous": "1"},
    )


def _later(code: str, detail: str) -> HttpResponse:
    """Nothing was done; the same request may be sent again."""
    return JsonResponse(
        {"detail": f"{detail}; send it again in a second", "code": code},
        status=HTTPStatus.SERVICE_UNAVAILABLE,
        headers={"Retry-After": "1"},
    )
