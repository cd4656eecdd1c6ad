"""Writes go through the public API: contracts have reads only.

With JavaScript the browser posts to the API itself, wherever that module lives. Without, its plain form comes here
and is handed on to the same view in this process, with the same session, CSRF token and idempotency key.
"""

import io
from typing import Any, NamedTuple

import msgspec
from django import forms
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from contracts.runtime import Unavailable

ORDERS = "/api/orders/"
USERS = "/api/users/"


class ApiAnswer(NamedTuple):
    status: int
    body: Any


def post(request: HttpRequest, path: str, body: dict[str, Any], *, idempotency_key: str = "") -> ApiAnswer:
    """What the API answers to this visitor. Raises Unavailable when its module is not in this process."""
    try:
        match = resolve(path)
    except Resolver404:
        raise Unavailable(f"POST {path}", "its module is not in this process, only a browser can reach it") from None
    raw = msgspec.json.encode(body)
    inner = WSGIRequest(
        {
            **request.META,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(raw)),
            "HTTP_ACCEPT": "application/json",
            "HTTP_IDEMPOTENCY_KEY": idempotency_key,
            "HTTP_X_CSRFTOKEN": request.POST.get("csrfmiddlewaretoken", ""),
            "wsgi.input": io.BytesIO(raw),
        }
    )
    inner.session, inner.user, inner.resolver_match = request.session, request.user, match
    response = match.func(inner, *match.args, **match.kwargs)
    return ApiAnswer(response.status_code, response.data)


def told(answer: ApiAnswer) -> str:
    """An error of the API in one line for people."""
    if not isinstance(answer.body, dict):
        return f"The shop answered {answer.status}. Try again."
    if "detail" in answer.body:
        return str(answer.body["detail"])
    return " ".join(f"{field}: {_flat(errors)}" for field, errors in answer.body.items())


def add_errors(form: forms.Form, answer: ApiAnswer) -> None:
    """Show the API's errors at the fields that they are about."""
    body = answer.body if isinstance(answer.body, dict) else {}
    known = {field: errors for field, errors in body.items() if field in form.fields}
    for field, errors in known.items():
        form.add_error(field, _flat(errors))
    if not known:
        form.add_error(None, told(answer))


def _flat(errors: Any) -> str:
    return " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)
