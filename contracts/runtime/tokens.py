"""Signed tokens: identities for people, service tokens between units. Ed25519, verified locally."""

import time
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

ALGORITHMS = ["Ed25519"]


class InvalidToken(Exception):
    """The token is malformed, expired, signed by an unknown key, or meant for somebody else."""


def sign(claims: dict[str, Any], key: OKPKey, *, audience: str, valid_s: int) -> str:
    """A token for this audience, valid for so many seconds from now."""
    now = int(time.time())
    header = {"alg": ALGORITHMS[0], "kid": key.kid}
    return jwt.encode(header, {**claims, "aud": audience, "iat": now, "exp": now + valid_s}, key, algorithms=ALGORITHMS)


def verify(token: str, keys: KeySet, *, audience: str) -> dict[str, Any]:
    """The claims of a valid token. Raises InvalidToken."""
    try:
        claims = jwt.decode(token, keys, algorithms=ALGORITHMS).claims
        jwt.JWTClaimsRegistry(aud={"essential": True, "value": audience}, exp={"essential": True}, leeway=5).validate(
            claims
        )
    except (JoseError, ValueError) as error:
        raise InvalidToken(str(error) or type(error).__name__) from error
    return dict(claims)


def new_key(name: str) -> OKPKey:
    """A private key; `name` is its key id."""
    return OKPKey.generate_key("Ed25519", {"kid": name})
