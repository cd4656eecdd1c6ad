"""Answers contract calls of other units."""

import structlog
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from contracts.runtime import tracing
from contracts.runtime.calls import answer_locally
from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import definitions
from contracts.runtime.errors import NotBound, NotOfContract, Refused, Unavailable, UndeclaredError
from contracts.runtime.http.client import DECLARED_ERROR, NOT_HERE, PATH
from contracts.runtime.http.deadline import within
from contracts.runtime.tokens import InvalidToken, verify
from contracts.runtime.wire import decode_arguments, encode_error, encode_result

log = structlog.get_logger(__name__)


@csrf_exempt
@require_POST
def answer(request: HttpRequest, module: str, name: str) -> HttpResponse:
    """200 with the result, 422 with a declared error, 421 where the module is not at home, 400 for what is not of the
    contract, 401, 404, 503."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise InvalidToken("no bearer token")
        verify(token, configuration.public_keys, audience=module)
    except InvalidToken as error:
        return _problem(401, f"service token: {error}")
    definition = definitions().get(module)
    method = definition.methods.get(name) if definition else None
    if definition is None or method is None or module not in configuration.modules:
        return _problem(404, f"unit {configuration.unit} does not answer {module}.{name}")
    try:
        left_s = int(request.headers.get("x-deadline-ms", configuration.call_timeout_s * 1000)) / 1000
    except ValueError:
        return _problem(400, "x-deadline-ms is not a whole number")
    if left_s <= 0:
        return _problem(503, "the caller's deadline has passed")
    if not _at_home(module):
        return _problem(NOT_HERE, f"{module} does not live in {configuration.unit}")
    try:
        arguments = decode_arguments(method, request.body)
    except NotOfContract as error:
        return _problem(400, str(error))
    with tracing.continued(request.headers.get("traceparent", "")), within(left_s):
        try:
            result = answer_locally(method, arguments)
            return HttpResponse(encode_result(method, result), content_type="application/json")
        except tuple(definition.errors.values()) as error:
            return HttpResponse(encode_error(error), status=DECLARED_ERROR, content_type="application/json")
        except Refused as refused:
            return JsonResponse({"detail": str(refused), "home": refused.home, "epoch": refused.epoch}, status=NOT_HERE)
        except (NotBound, NotOfContract, Unavailable, UndeclaredError) as error:
            log.exception("contract call failed", call=str(method))
            return _problem(500, str(error))


def _at_home(module: str) -> bool:
    """Reads are not fenced: without this a unit would go on answering them after the module left."""
    if configuration.resolve(module) is None:
        return True
    try:
        return configuration.at_home(module)  # what is remembered may be a second old
    except (DatabaseError, InterfaceError):
        return True  # the call itself finds out


def _problem(status: int, what: str) -> JsonResponse:
    return JsonResponse({"detail": what}, status=status)


urlpatterns = [path(f"{PATH}/<slug:module>/<slug:name>", answer, name="contract-call")]
