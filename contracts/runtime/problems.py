"""Errors of the API as JSON: `{"detail": …, "code": …}`, with the status that tells a client what to do."""

from typing import Any

import structlog
from django.db import InterfaceError, OperationalError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from contracts.runtime.errors import KeyReused, Unavailable

log = structlog.get_logger(__name__)


def answer(error: Exception, context: dict[str, Any]) -> Response | None:
    """503 when a module or database does not answer in time (try again), 422 for a used key, else REST framework's."""
    if isinstance(error, OperationalError | InterfaceError):
        log.error("database does not answer in time", exc_info=error)
    if isinstance(error, Unavailable | OperationalError | InterfaceError):
        return Response(
            {"detail": "A part of the shop does not answer; try again.", "code": "unavailable"},
            status=503,
            headers={"Retry-After": "1"},
        )
    if isinstance(error, KeyReused):
        return Response({"detail": str(error), "code": "key_reused"}, status=422)
    return exception_handler(error, context)
