"""How a page is answered: the same frame, a strict content policy, and kind words when a module is away."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from uuid import UUID

import structlog
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme

from contracts.runtime import NotBound, Unavailable

log = structlog.get_logger(__name__)

P = ParamSpec("P")

AWAY = (Unavailable, NotBound)
"""What a contract call raises when its module gives no answer."""

_CONTENT_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(request: HttpRequest, template: str, context: dict[str, Any] | None = None, status: int = 200) -> HttpResponse:
    """A page of the storefront."""
    return _guarded(render(request, f"storefront/{template}.html", context, status=status))


def kindly(view: Callable[Concatenate[HttpRequest, P], HttpResponse]) -> Callable[..., HttpResponse]:
    """Answer 503 and say so, where the page is nothing without a module that is away."""

    @wraps(view)
    def answered(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except AWAY as error:
            log.warning("page without its module", path=request.path, error=str(error))
            response = page(
                request,
                "problem",
                {
                    "title": "Back in a moment",
                    "text": "A part of the shop does not answer right now. Nothing is lost: your basket and your "
                    "orders are kept. Try again in a few seconds.",
                    "retry": request.get_full_path() if request.method == "GET" else "",
                },
                status=503,
            )
            response["Retry-After"] = "2"
            return response

    return answered


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Also for everything else that this address does not know."""
    return page(
        request,
        "problem",
        {"title": "Not here", "text": "This page is not, or no longer, in the shop."},
        status=404,
    )


def failed(request: HttpRequest) -> HttpResponse:
    """Without the request: what broke may be the session that the frame reads."""
    text = "Something broke on our side, and it has been noted. Try again; an order that you placed is safe."
    return _guarded(
        HttpResponse(
            render_to_string("storefront/problem.html", {"title": "That went wrong", "text": text}), status=500
        )
    )


def safe_next(request: HttpRequest, otherwise: str) -> str:
    """Where the visitor wants to go next, as long as that is in this shop."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if ours else otherwise


def customer_id(request: HttpRequest) -> UUID:
    """Who is signed in."""
    identity: Any = request.user
    found: UUID = identity.id
    return found


def tell_errors(request: HttpRequest, form: forms.Form) -> None:
    """What is wrong with a form that is not shown again."""
    for field, errors in form.errors.items():
        for error in errors:
            messages.error(request, str(error) if field == "quantity" else f"{field}: {error}")


def tell_gone(request: HttpRequest, skus: list[str]) -> None:
    """Products that were taken out of the basket."""
    for sku in skus:
        messages.warning(request, f"{sku} is no longer on sale; we took it out of your basket.")


def _guarded(response: HttpResponse) -> HttpResponse:
    response["Content-Security-Policy"] = _CONTENT_POLICY
    return response
