"""What stands between the edge and this process."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

Answer = Callable[[HttpRequest], HttpResponse]


class EdgeMiddleware:
    """Tells who asked, and says who answered: `X-Served-By: <unit>/<release>`.

    Behind the edge the last address of X-Forwarded-For is the one that the edge saw; those before it are the client's
    own words, and nobody is to believe them.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response
        self.served_by = f"{settings.UNIT}/{settings.RELEASE}"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "")
        if forwarded and settings.BEHIND_EDGE:
            request.META["REMOTE_ADDR"] = forwarded.rpartition(",")[2].strip()
        response = self.get_response(request)
        response["X-Served-By"] = self.served_by
        return response
