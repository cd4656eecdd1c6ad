"""What a stage is: gates before it, steps in it. Each step may be done again after a kill and then ends the same."""

import math
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, Self

from extraction.replicate.copying.limits import Limits
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
    """What the person at the command chose. Raises ValueError, whose message names the option."""

    max_pause_ms: int = 300
    hold_s: float = 3.0
    """How long each share of reads is watched."""
    max_failed: int = 0
    """Reads that may fail in the candidate at each share."""
    override: str = ""
    """Why gates that can be opened are opened."""
    accept_loss: str = ""
    """Why a side that does not answer is given up, with what was written there."""
    drop: bool = False
    """Whether tables that were retired are dropped."""

    copy_workers: int = Limits().workers
    max_mb_s: float = 0.0
    """Copied from the source; any rate with 0."""
    max_lag_mb: float = Limits().max_lag_mb
    keep_snapshot_min: float = 60.0

    workers: int = 2
    max_snapshot_s: float = 300.0
    max_rows_s: float = 0.0
    """Rows compared on a side; any number with 0."""
    sample: float = 0.0
    """Percent of the chunks that are compared; all of them with 0."""
    seed: int | None = None
    anew: bool = False
    repair: bool = False
    yes: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.max_pause_ms <= 60_000:
            raise ValueError("--max-pause-ms takes 1 to 60000")
        if not (math.isfinite(self.hold_s) and self.hold_s >= 0):
            raise ValueError("--hold-s takes seconds, 0 or more")
        if self.max_failed < 0:
            raise ValueError("--max-failed takes a number, 0 or more")
        self.limits()
        if not 1 <= self.workers <= 32:
            raise ValueError("--workers takes 1 to 32")
        if not (math.isfinite(self.max_snapshot_s) and self.max_snapshot_s >= 1):
            raise ValueError("--max-snapshot-s takes seconds, 1 or more")
        if not (math.isfinite(self.max_rows_s) and self.max_rows_s >= 0):
            raise ValueError("--max-rows-s takes a number, 0 or more")
        if not 0 <= self.sample <= 100:
            raise ValueError("--sample takes a percentage, above 0 and up to 100")
        if self.seed is not None and not self.sample:
            raise ValueError("--seed is that of a --sample")
        if self.sample and self.repair:
            raise ValueError("--repair compares all: leave --sample out")
        if self.yes and not self.repair:
            raise ValueError("--yes says that --repair may write")

    def limits(self) -> Limits:
        """Of the first copy."""
        return Limits(
            workers=self.copy_workers,
            max_mb_s=self.max_mb_s,
            max_lag_mb=self.max_lag_mb,
            keep_snapshot_s=self.keep_snapshot_min * 60,
        )

    @classmethod
    def chosen(cls, given: Mapping[str, Any]) -> Self:
        """Of all that a command was given, the fields of this class."""
        found = {field.name: given[field.name] for field in fields(cls) if field.name in given}
        stripped: dict[str, Any] = {
            name: value.strip() if isinstance(value, str) else value for name, value in found.items()
        }
        return cls(**stripped)


class Stage(Protocol):
    """Each is a class without state."""

    name: str

    def arguments(self, parser: ArgumentParser) -> None:
        """Its options at the command, beside those that all stages have; each is a field of Options."""
        ...

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


def takes_pause(parser: ArgumentParser) -> None:
    """For a stage that holds writers up for a moment."""
    parser.add_argument(
        "--max-pause-ms", type=int, default=300, help="before the commit writers wait no longer (default: 300)"
    )


def takes_reason(parser: ArgumentParser) -> None:
    """For a stage with gates that can be opened."""
    parser.add_argument("--override", metavar="REASON", default="", help="open its gates; the record keeps why")
