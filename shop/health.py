"""Whether this process can reach its databases."""

from django.db import Error, connections
from django.http import HttpRequest, JsonResponse


def healthz(request: HttpRequest) -> JsonResponse:
    """200 when every database answers, else 503 with the names of those that do not."""
    away = []
    for alias in connections:
        try:
            with connections[alias].cursor() as cursor:
                cursor.execute("select 1")
        except Error:
            away.append(alias)
    return JsonResponse({"databases_away": away}, status=503 if away else 200)
