"""What recorders have written, added up: whose code touches whose tables, and what an extraction would break.

Figures are estimates: what was seen, divided by the share that was looked at.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from extraction.boundaries.recording import VERSION, lines
from extraction.boundaries.statements import Table

NO_MODULE = "(no module)"
Kind = Literal["join", "write", "read", "reach"]
BREAKS: dict[Kind, tuple[str, str]] = {
    "join": (
        "Joins across",
        "one statement over tables of two databases: it has to become two, or a copy of what it needs",
    ),
    "write": ("Writes from outside", "its tables are written by others: each has to become a call, or an event"),
    "read": ("Reads from outside", "its tables are read by others: each has to become a call"),
    "reach": ("Its own code in others' tables", "each has to become a call of the other module"),
}
"""What an extraction would break, the worst first."""


class NoRecording(Exception):
    """There is nothing to show; the message says why, and what to do about it."""


@dataclass(slots=True, kw_only=True)
class Seen:
    """How often, and what that means."""

    seen: int = 0
    estimate: float = 0.0

    def add(self, times: int, share: float) -> None:
        self.seen += times
        self.estimate += times / share


@dataclass(slots=True, kw_only=True)
class Touch(Seen):
    """Statements of one place with the same tables."""

    code: str
    """The module whose code it is, empty where it is none's."""
    place: str
    """`billing/reports.py:12 in sold`; empty where the module touches its own tables, where no frame was the project's,
    or where there were too many places."""
    reads: tuple[Table, ...]
    writes: tuple[Table, ...]

    @property
    def owners(self) -> set[str]:
        return {owner for owner, _ in (*self.reads, *self.writes)}

    @property
    def is_join(self) -> bool:
        """Of tables of several modules, or of a module and none."""
        return len(self.owners) > 1

    @property
    def crosses(self) -> bool:
        return self.owners != {self.code}

    @property
    def tables(self) -> tuple[Table, ...]:
        return tuple(sorted({*self.reads, *self.writes}))

    def breaks(self, module: str) -> Kind | None:
        """What becomes of it when this module goes."""
        if module in self.owners:
            if self.is_join:
                return "join"
            if self.code == module:
                return None
            return "write" if self.writes else "read"
        return "reach" if self.code == module else None


@dataclass(slots=True, kw_only=True)
class Together(Seen):
    """Transactions that touched several modules and wrote in one at least."""

    modules: tuple[tuple[str, bool], ...]
    """Each, and whether it wrote there."""
    place: str
    """Where it first touched the second."""


@dataclass(slots=True, kw_only=True)
class Cell:
    """Of the matrix: statements of one module's code on another's tables."""

    reads: Seen = field(default_factory=Seen)
    writes: Seen = field(default_factory=Seen)
    joins: Seen = field(default_factory=Seen)
    """Of these, those that name tables of others too."""


@dataclass(slots=True)
class Coupling:
    """All that was recorded."""

    touches: list[Touch]
    """Those that cross a boundary, the most first."""
    together: list[Together]
    matrix: dict[tuple[str, str], Cell]
    """By whose code, and whose tables."""
    operations: dict[str, int]
    """That were looked at, by kind."""
    shares: tuple[float, ...]
    began: str
    ended: str
    """In ISO 8601."""
    processes: int
    crowded: int
    """Counted without their place."""
    unread: int
    """Lines that were cut, or are of another version."""

    @property
    def is_exact(self) -> bool:
        return self.shares == (1.0,)

    @property
    def modules(self) -> tuple[str, ...]:
        """Who occurs, what belongs to none at the end."""
        found = {module for pair in self.matrix for module in pair}
        return (*sorted(found - {""}), *([""] if "" in found else []))

    def of_module(self, module: str) -> dict[Kind, list[Touch]]:
        """What its extraction would break, the worst kind first."""
        found: dict[Kind, list[Touch]] = {kind: [] for kind in BREAKS}
        for touch in self.touches:
            if (kind := touch.breaks(module)) is not None:
                found[kind].append(touch)
        return found


def coupling_in(files: Sequence[Path]) -> Coupling:
    """Add up. Raises NoRecording."""
    sum_of = _Sum()
    unread = 0
    for line in _lines(files):
        try:
            sum_of.add(line)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            unread += 1
    if not sum_of.shares:
        cut = f"; lines that are cut, or not of version {VERSION}: {unread}" if unread else ""
        raise NoRecording(f"{', '.join(map(str, files))}: nothing is recorded yet{cut}")
    return Coupling(
        touches=sorted((touch for touch in sum_of.touches.values() if touch.crosses), key=_most_first),
        together=sorted(sum_of.together.values(), key=_most_first),
        matrix=_matrix(sum_of.touches.values()),
        operations=dict(sum_of.operations),
        shares=tuple(sorted(sum_of.shares)),
        began=min(sum_of.moments),
        ended=max(sum_of.moments),
        processes=len(sum_of.processes),
        crowded=sum_of.crowded,
        unread=unread,
    )


class _Sum:
    """Of the lines so far."""

    def __init__(self) -> None:
        self.touches: dict[tuple[Any, ...], Touch] = {}
        self.together: dict[tuple[Any, ...], Together] = {}
        self.operations: Counter[str] = Counter()
        self.processes: set[int] = set()
        self.shares: set[float] = set()
        self.moments: set[str] = set()
        self.crowded = 0

    def add(self, line: dict[str, Any]) -> None:
        """All of it, or nothing and an error."""
        share = float(line["share"])
        if not 0 < share <= 1:
            raise ValueError(share)
        moments = {datetime.fromisoformat(line[name]).isoformat() for name in ("from", "to")}
        operations = {str(kind): int(times) for kind, times in line["operations"].items()}
        touches = [(_touch(each), int(each["seen"])) for each in line["statements"]]
        together = [(_together(each), int(each["seen"])) for each in line["transactions"]]
        crowded, process = int(line["crowded"]), int(line["process"])
        for touch, seen in touches:
            self.touches.setdefault((touch.code, touch.place, touch.reads, touch.writes), touch).add(seen, share)
        for one, seen in together:
            self.together.setdefault((one.modules, one.place), one).add(seen, share)
        self.operations.update(operations)
        self.moments |= moments
        self.crowded += crowded
        self.processes.add(process)
        self.shares.add(share)


def _lines(files: Sequence[Path]) -> Iterator[Any]:
    for file in files:
        try:
            yield from lines(file)
        except OSError as error:
            raise NoRecording(f"{file}: {error.strerror}") from error


def _touch(each: dict[str, Any]) -> Touch:
    reads, writes = (
        tuple(sorted((str(owner), str(name)) for owner, name in each[tables])) for tables in ("reads", "writes")
    )
    return Touch(code=str(each["code"]), place=_place(each), reads=reads, writes=writes)


def _together(each: dict[str, Any]) -> Together:
    modules = sorted((str(module), bool(wrote)) for module, wrote in each["wrote"].items())
    return Together(modules=tuple(modules), place=_place(each))


def _place(each: dict[str, Any]) -> str:
    return f"{each['file']}:{each['line']} in {each['function']}" if each["file"] else ""


def _matrix(touches: Iterable[Touch]) -> dict[tuple[str, str], Cell]:
    matrix: dict[tuple[str, str], Cell] = {}
    for touch in touches:
        for owner in touch.owners:
            cell = matrix.setdefault((touch.code, owner), Cell())
            is_written = any(of == owner for of, _ in touch.writes)
            for counted in (cell.writes if is_written else cell.reads, *([cell.joins] if touch.is_join else [])):
                counted.seen += touch.seen
                counted.estimate += touch.estimate
    return matrix


def _most_first(each: Seen) -> tuple[float, str]:
    return -each.estimate, repr(each)
