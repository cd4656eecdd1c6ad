"""Signatures of callbacks in Stripe's form: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" in hex>`."""

import hashlib
import hmac
import time

from django.conf import settings

HEADER = "Payment-Signature"
TOLERANCE_S = 300
"""An older callback, or one from a clock that is ahead so far, is refused: it may be a replay."""


class InvalidSignature(Exception):
    """The callback does not come from the provider, or came too late."""


def sign(body: bytes) -> str:
    """The header for a body, as of now."""
    seconds = str(int(time.time()))
    return f"t={seconds},v1={_digest(seconds, body)}"


def verify(header: str, body: bytes) -> None:
    """Raises InvalidSignature."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    seconds, digest = parts.get("t", ""), parts.get("v1", "")
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) <= 12):
        raise InvalidSignature("no timestamp")
    if not hmac.compare_digest(_digest(seconds, body).encode(), digest.encode()):
        raise InvalidSignature("wrong signature")
    if abs(time.time() - int(seconds)) > TOLERANCE_S:
        raise InvalidSignature(f"timestamp off by more than {TOLERANCE_S} s")


def _digest(seconds: str, body: bytes) -> str:
    secret = settings.PAYMENT_SETTINGS["webhook_secret"]
    if not secret:
        raise InvalidSignature("PAYMENT_WEBHOOK_SECRET is not set")
    return hmac.new(secret.encode(), seconds.encode() + b"." + body, hashlib.sha256).hexdigest()
