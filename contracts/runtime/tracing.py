"""One trace through calls, events and tasks: the W3C traceparent of what is being done now."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("traceparent", default="")
_FORM = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent() -> str:
    """This trace with a new span id; begins a trace where there is none."""
    trace = (_current.get() or f"00-{secrets.token_hex(16)}").split("-")[1]
    return f"00-{trace}-{secrets.token_hex(8)}-01"


@contextmanager
def continued(parent: str) -> Iterator[None]:
    """Continue the trace of a caller; a malformed one begins anew, as the W3C recommendation asks."""
    token = _current.set(parent if _FORM.fullmatch(parent) else f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01")
    try:
        yield
    finally:
        _current.reset(token)
