"""Writes go through the public API: contracts have reads only.

With JavaScript the browser posts to the API itself, wherever that module lives. Without, its plain form comes here. It
is handed on to the same view in this process, with the same session, CSRF token and idempotency key; or, where the
module lives elsewhere, over HTTP to its home, with the token of the visitor's identity. There is no CSRF token on that
way: this process has checked the form's, and no browser sends a bearer token by itself.
"""

import io
import os
import time
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, NamedTuple

import httpx2
import msgspec
import stamina
from django import forms
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest
from django.urls import Resolver404, resolve

from contracts.runtime import Remote, Unavailable, tracing
from contracts.runtime.configuration import configuration
from contracts.runtime.errors import Refused
from contracts.runtime.following import patiently
from contracts.runtime.identity import token_of

ORDERS = "/api/orders/"
USERS = "/api/users/"

CONNECT_TIMEOUT_S = 0.5
TRY_AGAIN_FOR_S = 2.0
ANSWER_WITHIN_S = 5.0
"""All attempts together; somebody looks at a page that loads."""
_NOTHING_DONE = (307, 421)
"""The module is no longer where the proxy thinks; it will know in a moment."""
_TRY_AGAIN = (502, 503, 504)


class ApiAnswer(NamedTuple):
    status: int
    body: Any


def post(request: HttpRequest, path: str, body: dict[str, Any], *, idempotency_key: str = "") -> ApiAnswer:
    """What the API answers to this visitor. Raises Unavailable when its module gives no answer in time."""
    module, raw = path.split("/")[2], msgspec.json.encode(body)
    remote = configuration.resolve(module)
    if remote is None:
        try:
            return patiently("form", f"POST {path}", lambda: _here(request, path, raw, idempotency_key))
        except Refused as refused:
            remote = configuration.resolve(module)  # knows now what the refusal said
            if remote is None or refused.in_motion or not refused.untouched:
                raise Unavailable(f"POST {path}", str(refused)) from refused
    return _there(request, remote, path, raw, idempotency_key)


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


def _here(request: HttpRequest, path: str, raw: bytes, idempotency_key: str) -> ApiAnswer:
    try:
        match = resolve(path)
    except Resolver404:
        raise Unavailable(f"POST {path}", "its module is not in this process and has no address") from None
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


def _there(request: HttpRequest, remote: Remote, path: str, raw: bytes, idempotency_key: str) -> ApiAnswer:
    headers = {
        "accept": "application/json",
        "content-type": "application/json",
        "traceparent": tracing.traceparent(),
        "x-forwarded-proto": request.scheme or "http",
    }
    if idempotency_key:
        headers["idempotency-key"] = idempotency_key
    if request.user.is_authenticated:
        token = token_of(request)
        if not token:
            return ApiAnswer(401, {"detail": "Sign out and in again; then this works."})
        headers["authorization"] = f"Bearer {token}"
    again = _NOTHING_DONE + _TRY_AGAIN if idempotency_key else _NOTHING_DONE
    try:
        response = _send(f"{remote.url.rstrip('/')}{path}", raw, headers, again=again)
        return ApiAnswer(response.status_code, msgspec.json.decode(response.content))
    except (httpx2.HTTPError, _NotNow, msgspec.DecodeError) as error:
        raise Unavailable(f"POST {path}", f"{remote.unit}: {type(error).__name__} {error}") from error


class _NotNow(Exception):
    """The other side is there and did nothing, or what it did is the same when it is asked again."""


def _send(url: str, raw: bytes, headers: dict[str, str], *, again: tuple[int, ...]) -> httpx2.Response:
    end = time.monotonic() + ANSWER_WITHIN_S
    for attempt in stamina.retry_context(
        on=(httpx2.ConnectError, httpx2.ConnectTimeout, _NotNow),
        attempts=None,
        timeout=TRY_AGAIN_FOR_S,
        wait_initial=0.02,
        wait_max=0.5,
        wait_jitter=0.1,
    ):
        with attempt:
            left = max(end - time.monotonic(), 0.05)
            timeout = httpx2.Timeout(left, connect=min(CONNECT_TIMEOUT_S, left))
            response = _client(os.getpid()).post(url, content=raw, headers=headers, timeout=timeout)
            if response.status_code in again:
                raise _NotNow(f"answered {response.status_code}")
            return response
    raise AssertionError("unreachable")


@cache
def _client(pid: int) -> httpx2.Client:
    """One client per process: connections do not survive a fork. It keeps no cookie of one visitor for the next."""
    return httpx2.Client(
        limits=httpx2.Limits(max_connections=32, max_keepalive_connections=8),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        trust_env=False,
    )


def _flat(errors: Any) -> str:
    return " ".join(map(str, errors)) if isinstance(errors, list) else str(errors)
