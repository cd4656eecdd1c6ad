from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from contracts.runtime import tracing


class TraceMiddleware:
    """Continues the trace of the request, so that calls and events of it carry the same id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with tracing.continued(request.headers.get("traceparent", "")):
            return self.get_response(request)
