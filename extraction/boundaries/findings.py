"""What a layer reports: one place where a module reaches into another."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from extraction.boundaries.codes import layer_of
from extraction.boundaries.house import House


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Finding:
    """One breach. Ordered by file and line."""

    path: str = ""
    """Of the file, from the root of the project; empty where it stands in no file (a privilege, a constraint)."""
    line: int = 0
    """From 1; 0 where no line is known."""
    code: str
    """A key of CODES, `boundaries.E101`, or a code of the project's own."""
    module: str
    """Whose code or table reaches out."""
    other: str
    """Whose it reaches into; empty where that cannot be known (`exec`)."""
    what: str
    """What it does, a sentence without a subject and a full stop: `imports modules.payments.models`."""
    instead: str = ""
    """The call or the event to use, where one is known; else what CODES says."""

    @property
    def layer(self) -> str:
        """Which layer caught it: of CODES, or the first part of a code that a project's own layer reports."""
        return layer_of(self.code, self.code.partition(".")[0])

    @property
    def place(self) -> str:
        """`modules/orders/service.py:12`, or what there is of it."""
        return f"{self.path}:{self.line}" if self.path and self.line else self.path


class Skipped(Exception):
    """A layer cannot look here; the message says why, and what to do about it."""


class Partly(Skipped):
    """A layer has looked, but for a part that cannot be seen as the project stands; the message says which, and why.

    Where the next run may see it (a server that is away), raise Skipped.
    """


Layer = Callable[[House], Iterable[Finding]]
"""Raises Skipped where it cannot look at all; a part that it cannot read it reports as boundaries.E001."""
