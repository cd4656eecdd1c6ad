"""Which share of the readers somebody belongs to, kept in a cookie: a ramp never moves a reader back."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from extraction.placement.middleware import module_of

COOKIE = "cohort"
MAX_AGE_S = 30 * 24 * 3600


class CohortMiddleware:
    """Sets the cookie that the proxy hashes, at the first read of a module.

    Its value is the request's id, by which the proxy chose the unit of this answer: so the next read goes there too.
    Who sends a token is hashed by that.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        request_id = request.headers.get("X-Request-Id", "")
        is_known = COOKIE in request.COOKIES or "Authorization" in request.headers
        if request_id and not is_known and request.method in ("GET", "HEAD") and module_of(request):
            response.set_cookie(
                COOKIE,
                request_id[:64],
                max_age=MAX_AGE_S,
                httponly=True,
                secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )
        return response
