"""Work that a database refused because its module is moving is done again, here or where the module lives now."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from contracts.runtime.configuration import configuration
from contracts.runtime.errors import Refused

T = TypeVar("T")

PAUSE_S = 0.005
PATIENCE_S = 2.0


@contextmanager
def operation(kind: str, name: str) -> Iterator[None]:
    """Raises Refused at the end when a write in it was refused, also when the code swallowed the error."""
    with configuration.operation(kind, name) as current:
        try:
            yield
        except Exception as error:
            if current.refusal is not None:
                raise Refused(current.refusal, untouched=current.untouched) from error
            raise
        if current.refusal is not None:
            raise Refused(current.refusal, untouched=current.untouched)


def patiently(kind: str, name: str, do: Callable[[], T], *, at_most_s: float = PATIENCE_S) -> T:
    """Do it as an operation, again while the module is in motion and nothing has come of it. Raises Refused."""
    end = time.monotonic() + at_most_s
    while True:
        try:
            with operation(kind, name):
                return do()
        except Refused as refused:
            if not (refused.in_motion and refused.untouched) or time.monotonic() >= end:
                raise
        time.sleep(PAUSE_S)
