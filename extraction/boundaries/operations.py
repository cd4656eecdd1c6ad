"""What is being done in this thread, and what has come of it so far."""

from collections import Counter
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write that a database did not take, because the module is not at home there."""

    module: str
    home: str = ""
    """The unit where the module lives; none while a switch is in progress."""
    epoch: int = -1
    """Of that home."""

    @property
    def in_motion(self) -> bool:
        """A switch is in progress: the same write again in a few milliseconds is taken, or told where to go."""
        return not self.home


class Operation:
    """A request, handler, call or task.

    Commits made in an operation inside this one are its own; that they happened counts for this one too, because
    repeating this one would repeat them.
    """

    __slots__ = ("_parent", "_token", "commits", "committed", "kind", "name", "outside", "recorded", "refusal")

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        self.commits: dict[str, str] = {}
        """Where each module committed first, for the guard against a second commit."""
        self.committed: Counter[str] = Counter()
        """Commits by database alias, each of at least one write."""
        self.outside: list[str] = []
        """What was done beyond the databases of this unit and cannot be done again."""
        self.refusal: Refusal | None = None
        """The first write that was refused, whether or not the code let the error through."""
        self.recorded: bool | None = None
        """Of the outermost: whether the recorder looks at it; None until its first statement."""

    @property
    def untouched(self) -> bool:
        """Nothing was committed and nothing done outside, so it can be done from the beginning."""
        return not self.committed and not self.outside

    def __enter__(self) -> Self:
        self._parent = _operation.get()
        self._token = _operation.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _operation.reset(self._token)
        if self._parent is None:
            return
        self._parent.committed.update(self.committed)
        self._parent.outside += self.outside
        # A call that was refused half-way leaves its caller half-way too; what else is nested has an owner of its own.
        if self.kind == "call" and self.refusal and not self.untouched and self._parent.refusal is None:
            self._parent.refusal = self.refusal


def current() -> Operation | None:
    """The innermost operation of this thread."""
    return _operation.get()


def outermost() -> Operation | None:
    """The operation of this thread that is inside no other."""
    operation = _operation.get()
    while operation is not None and operation._parent is not None:
        operation = operation._parent
    return operation


def note_outside(what: str) -> None:
    """Something was done that cannot be taken back: the operation is not to be repeated."""
    if (operation := _operation.get()) is not None:
        operation.outside.append(what)


of_process: Counter[str] = Counter()
"""Commits of this process by database alias, in an operation or not."""
_operation: ContextVar[Operation | None] = ContextVar("operation", default=None)
