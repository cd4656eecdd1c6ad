"""Wrong passwords per account and minute. Right ones do not count, nor does the address they come from."""

import hashlib

from django.conf import settings
from django.core.cache import cache

from contracts.users import TooManyAttempts

WINDOW_S = 60


def check(email: str) -> None:
    """Raises TooManyAttempts, whether or not somebody has this address."""
    if cache.get(_key(email), 0) >= settings.SIGN_IN_FAILURES_PER_MINUTE:
        raise TooManyAttempts(email=email, retry_after_s=WINDOW_S)


def count_failure(email: str) -> None:
    """Count in this process, or in all of them where CACHES names a shared cache."""
    key = _key(email)
    cache.add(key, 0, WINDOW_S)
    try:
        cache.incr(key)
    except ValueError:  # the minute ended between the two
        cache.add(key, 1, WINDOW_S)


def _key(email: str) -> str:
    return f"users:failed:{hashlib.sha256(email.strip().lower().encode()).hexdigest()}"
