"""Who sends a request, from the session or a signed token, without a table of users.

Sessions are the origin unit's. A browser also carries the token of its identity as a cookie, for a unit to which a
module has moved and which has no session of this visitor. Where the sessions are, the cookie alone opens nothing, so
that signing out is the end; elsewhere a stolen one is good until it expires.
"""

import time
from typing import Any, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import rotate_token
from django.utils.functional import SimpleLazyObject
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from contracts.runtime.tokens import InvalidToken, sign, verify
from contracts.users import Identity, SignedIn

AUDIENCE = "shop"
COOKIE = "identity"
SESSION_KEY = "identity"
SESSION_UNTIL = "identity_until"
VALID_S = 12 * 3600
"""Of a token and of an identity in a session, however often the session is saved: a role that was taken away ends."""


def token_for(identity: Identity, *, valid_s: int = VALID_S) -> str:
    """A bearer token that any unit can verify. Needs IDENTITY_SIGNING_KEY, which only the users module has."""
    if settings.IDENTITY_SIGNING_KEY is None:
        raise ImproperlyConfigured("IDENTITY_SIGNING_KEY is not set: this unit cannot sign identities")
    return sign(
        {"sub": str(identity.id), "email": identity.email, "name": identity.name, "role": identity.role},
        settings.IDENTITY_SIGNING_KEY,
        audience=AUDIENCE,
        valid_s=valid_s,
    )


def identity_in(token: str) -> Identity:
    """Raises InvalidToken."""
    claims = verify(token, settings.IDENTITY_PUBLIC_KEYS, audience=AUDIENCE)
    try:
        return Identity(id=UUID(claims["sub"]), email=claims["email"], name=claims["name"], role=claims["role"])
    except (KeyError, ValueError) as error:
        raise InvalidToken(f"claim missing or malformed: {error}") from error


def token_of(request: HttpRequest) -> str:
    """The token that proves to another unit who is signed in here; empty where the browser brought none of theirs."""
    token, user = request.COOKIES.get(COOKIE, ""), cast(Any, request.user)
    try:
        return token if identity_in(token) == user else ""
    except InvalidToken:
        return ""


def begin_session(request: HttpRequest, signed_in: SignedIn) -> None:
    """Sign in: a new session key and CSRF token, so that those known before are worth nothing."""
    request.session.cycle_key()
    remember(request.session, signed_in.identity)
    rotate_token(request)
    request.user = signed_in.identity  # type: ignore[assignment]
    request.META[_NEW_TOKEN] = signed_in.token


def remember(session: SessionBase, identity: Identity) -> None:
    """Write an identity into a session, for as long as a token is valid."""
    session[SESSION_KEY] = msgspec.to_builtins(identity)
    session[SESSION_UNTIL] = time.time() + VALID_S


def end_session(request: HttpRequest) -> None:
    """Sign out: the session and its data are gone."""
    request.session.flush()
    request.user = AnonymousUser()
    request.META[_NEW_TOKEN] = ""


class IdentityMiddleware(AuthenticationMiddleware):
    """`request.user` is the session's Identity. A subclass, because Django's admin asks for one by type."""

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(lambda: _identity_of(request))  # type: ignore[assignment]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        token = request.META.get(_NEW_TOKEN)
        if token:
            _set_cookie(response, token, valid_s=VALID_S)
        elif token is not None:
            response.delete_cookie(
                COOKIE, path=settings.SESSION_COOKIE_PATH, domain=settings.SESSION_COOKIE_DOMAIN, samesite="Lax"
            )
        elif settings.IDENTITY_SIGNING_KEY is not None:
            _bring_cookie(request, response)
        return response


_NEW_TOKEN = "contracts.identity.token"  # noqa: S105
"""In META of a request: the token that its answer brings, empty for none any more."""


def _identity_of(request: HttpRequest) -> Any:
    identity = _in_session(request.session)
    if identity is None and settings.UNIT != settings.ORIGIN_UNIT and COOKIE in request.COOKIES:
        identity = _in_cookie(request)
    return identity or AnonymousUser()


def _in_session(session: SessionBase) -> Identity | None:
    stored = session.get(SESSION_KEY)
    if stored is None or time.time() >= session.get(SESSION_UNTIL, 0):
        return None
    try:
        return msgspec.convert(stored, Identity)
    except msgspec.ValidationError:
        return None


def _in_cookie(request: HttpRequest) -> Identity | None:
    try:
        return identity_in(request.COOKIES.get(COOKIE, ""))
    except InvalidToken:
        return None


def _bring_cookie(request: HttpRequest, response: HttpResponse) -> None:
    """A session whose browser brings no token of it, or one of somebody else, gets one for the rest of its time.

    Somebody else's may have been planted: at another unit the visitor would order for them.
    """
    if not request.session.accessed:
        return
    identity = _in_session(request.session)
    if identity is not None and _in_cookie(request) != identity:
        valid_s = int(request.session[SESSION_UNTIL] - time.time())
        _set_cookie(response, token_for(identity, valid_s=valid_s), valid_s=valid_s)


def _set_cookie(response: HttpResponse, token: str, *, valid_s: int) -> None:
    response.set_cookie(
        COOKIE,
        token,
        max_age=valid_s,
        path=settings.SESSION_COOKIE_PATH,
        domain=settings.SESSION_COOKIE_DOMAIN,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


class BearerAuthentication(BaseAuthentication):
    """`Authorization: Bearer …` with a token of the users module."""

    def authenticate(self, request: Request) -> tuple[Any, str] | None:
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            return identity_in(token.strip()), token
        except InvalidToken as error:
            raise AuthenticationFailed(f"The token is not valid: {error}") from error

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class IdentitySessionAuthentication(SessionAuthentication):
    """The storefront's session, with CSRF protection."""


class _BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "contracts.runtime.identity.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


class _SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "contracts.runtime.identity.IdentitySessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}
