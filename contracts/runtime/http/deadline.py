"""How long whoever waits for this work will wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


def remaining_s(at_most: float) -> float:
    """Seconds left until the caller gives up, `at_most` where no caller said so."""
    ends = _ends.get()
    return at_most if ends is None else min(at_most, ends - time.monotonic())


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Work for a caller that waits so long."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)
