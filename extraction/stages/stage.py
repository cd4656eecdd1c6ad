"""What a stage is: gates before it, steps in it. Each step may be done again after a kill and then ends the same."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from extraction.stages.situation import Situation


class Voice(Protocol):
    """Says how far a step is. Calling it is where a step lets itself be stopped: raises Stopped."""

    def __call__(self, sentence: str) -> None: ...

    def say(self, sentence: str) -> None:
        """The same where nobody may stop."""
        ...


@dataclass(frozen=True, slots=True)
class Gate:
    """Why a stage may not begin."""

    reason: str
    next: str
    """The command to type instead."""
    firm: str = ""
    """Why no override opens it; empty where one does."""


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a stage. `do` returns evidence."""

    what: str
    do: Callable[[Voice], dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What the person at the command chose."""

    max_pause_ms: int = 300
    hold_s: float = 3.0
    """How long each share of reads is watched."""
    max_failed: int = 0
    """Reads that may fail in the candidate at each share."""
    override: str = ""
    """Why gates that can be opened are opened."""


class Stage(Protocol):
    """Each is a class without state."""

    name: str

    def gates(self, situation: Situation) -> Iterable[Gate]:
        """What speaks against it now, the most important first."""
        ...

    def done(self, situation: Situation) -> str:
        """A sentence when there is nothing left to do, else nothing."""
        ...

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        """What is to be done, in order. Asked only when no gate holds; changes nothing."""
        ...

    def conclude(self, situation: Situation) -> None:
        """Change the open migration, which is then saved, as the stage is done."""
        ...
