"""Who sends a request, from the session or a bearer token, without a table of users."""

import time
from typing import Any
from uuid import UUID

import msgspec
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from django.middleware.csrf import rotate_token
from django.utils.functional import SimpleLazyObject
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from contracts.runtime.tokens import InvalidToken, sign, verify
from contracts.users import Identity

AUDIENCE = "shop"
SESSION_KEY = "identity"
SESSION_UNTIL = "identity_until"
VALID_S = 12 * 3600
"""Of a token and of an identity in a session, however often the session is saved: a role that was taken away ends."""


def token_for(identity: Identity) -> str:
    """A bearer token that any unit can verify. Needs IDENTITY_SIGNING_KEY, which only the users module has."""
    if settings.IDENTITY_SIGNING_KEY is None:
        raise ImproperlyConfigured("IDENTITY_SIGNING_KEY is not set: this unit cannot sign identities")
    return sign(
        {"sub": str(identity.id), "email": identity.email, "name": identity.name, "role": identity.role},
        settings.IDENTITY_SIGNING_KEY,
        audience=AUDIENCE,
        valid_s=VALID_S,
    )


def identity_in(token: str) -> Identity:
    """Raises InvalidToken."""
    claims = verify(token, settings.IDENTITY_PUBLIC_KEYS, audience=AUDIENCE)
    try:
        return Identity(id=UUID(claims["sub"]), email=claims["email"], name=claims["name"], role=claims["role"])
    except (KeyError, ValueError) as error:
        raise InvalidToken(f"claim missing or malformed: {error}") from error


def begin_session(request: HttpRequest, identity: Identity) -> None:
    """Sign in: a new session key and CSRF token, so that those known before are worth nothing."""
    request.session.cycle_key()
    remember(request.session, identity)
    rotate_token(request)
    request.user = identity  # type: ignore[assignment]


def remember(session: SessionBase, identity: Identity) -> None:
    """Write an identity into a session, for as long as a token is valid."""
    session[SESSION_KEY] = msgspec.to_builtins(identity)
    session[SESSION_UNTIL] = time.time() + VALID_S


def end_session(request: HttpRequest) -> None:
    """Sign out: the session and its data are gone."""
    request.session.flush()
    request.user = AnonymousUser()


class IdentityMiddleware(AuthenticationMiddleware):
    """`request.user` is the session's Identity. A subclass, because Django's admin asks for one by type."""

    def process_request(self, request: HttpRequest) -> None:
        request.user = SimpleLazyObject(lambda: _from_session(request))  # type: ignore[assignment]


def _from_session(request: HttpRequest) -> Any:
    stored = request.session.get(SESSION_KEY)
    if stored is None or time.time() >= request.session.get(SESSION_UNTIL, 0):
        return AnonymousUser()
    try:
        return msgspec.convert(stored, Identity)
    except msgspec.ValidationError:
        return AnonymousUser()


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
