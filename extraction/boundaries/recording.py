"""What a recorder has counted, and the file that the processes of a project write together: a line of JSON for each
time that one of them wrote.

A line is appended under a lock of the file and in one piece, or not at all.
"""

import errno
import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings

from extraction.boundaries.callsite import CallSite
from extraction.boundaries.statements import Statement

VERSION = 1
"""Of a line."""
LOCK_WITHIN_S = 0.25


class Busy(Exception):
    """Another process kept the file locked."""


class Full(Exception):
    """The file has grown as far as it may; move it away, or let it grow: EXTRACTION["recorder"]["most_mb"]."""


Key = TypeVar("Key", bound=Hashable)
Place = tuple[str, int, str]
"""File as Python knows it, line, function."""
_NOWHERE: Place = ("", 0, "")
_NO_MODULE = Statement((("", ""),), ())


@dataclass(slots=True)
class Record:
    """Counts of one process since a moment."""

    share: float
    since: datetime
    operations: Counter[str] = field(default_factory=Counter)
    """That were looked at, by kind."""
    statements: Counter[tuple[str, Place, Statement]] = field(default_factory=Counter)
    """By the module whose code it was, where that was, and tables."""
    transactions: Counter[tuple[tuple[tuple[str, bool], ...], Place]] = field(default_factory=Counter)
    """By modules, and whether it wrote there; and where it touched the second."""
    crowded: int = 0
    """Statements and transactions that came when there was no room for another place: counted without it."""

    @property
    def is_empty(self) -> bool:
        return not (self.operations or self.statements or self.transactions)

    def add(self, seen: Statement, site: CallSite | None, *, most: int) -> None:
        """A statement. Where a module's code touches its own tables alone is not kept."""
        module = site.module if site else ""
        if all(owner == module for owner, _ in (*seen.reads, *seen.writes)):
            key = (module, _NOWHERE, seen if module else _NO_MODULE)
        else:
            key = (module, _place(site), seen)
        if key not in self.statements and len(self.statements) >= most:
            self.crowded += 1
            key = (module, _NOWHERE, _without_names(seen))
        self.statements[key] += 1

    def add_transaction(self, modules: dict[str, bool], second: CallSite | None, *, most: int) -> None:
        """One that was committed."""
        key = (tuple(sorted(modules.items())), _place(second))
        if key not in self.transactions and len(self.transactions) >= most:
            self.crowded += 1
            key = (key[0], _NOWHERE)
        self.transactions[key] += 1

    def merge(self, earlier: "Record", *, most: int) -> None:
        """Take over what could not be written; no more of it than there is room for."""
        self.since = min(self.since, earlier.since)
        self.operations.update(earlier.operations)
        self.crowded += earlier.crowded
        self.crowded += _merge(self.statements, earlier.statements, most)
        self.crowded += _merge(self.transactions, earlier.transactions, most)

    def document(self, *, until: datetime) -> dict[str, Any]:
        """As it stands in the file."""
        return {
            "version": VERSION,
            "process": os.getpid(),
            "from": self.since.isoformat(timespec="seconds"),
            "to": until.isoformat(timespec="seconds"),
            "share": self.share,
            "operations": dict(self.operations),
            "statements": [
                {"code": module, **_shown(place), "reads": seen.reads, "writes": seen.writes, "seen": times}
                for (module, place, seen), times in self.statements.items()
            ],
            "transactions": [
                {"wrote": dict(modules), **_shown(place), "seen": times}
                for (modules, place), times in self.transactions.items()
            ],
            "crowded": self.crowded,
        }


def append(file: Path, document: dict[str, Any], *, most_bytes: int) -> None:
    """Raises OSError, Full, Busy."""
    line = json.dumps(document, separators=(",", ":")).encode() + b"\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    # Without waiting: where a pipe stands in its place nobody may read it.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    descriptor = os.open(file, flags, 0o640)
    try:
        _lock(descriptor)
        before = os.fstat(descriptor).st_size
        if before + len(line) > most_bytes:
            raise Full(f"{file} would be larger than {most_bytes:,} bytes; {Full.__doc__}")
        if os.write(descriptor, line) != len(line):
            os.ftruncate(descriptor, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))
    finally:
        os.close(descriptor)


def lines(file: Path) -> Iterator[dict[str, Any] | None]:
    """Each line; None for one that is not of this version, or was cut. Raises OSError."""
    with file.open("rb") as opened:
        for line in opened:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                yield None
                continue
            yield found if isinstance(found, dict) and found.get("version") == VERSION else None


def _merge(mine: Counter[Key], theirs: Counter[Key], most: int) -> int:
    """How many found no room."""
    crowded = 0
    for key, seen in theirs.items():
        if key in mine or len(mine) < most:
            mine[key] += seen
        else:
            crowded += seen
    return crowded


def _lock(descriptor: int) -> None:
    end = time.monotonic() + LOCK_WITHIN_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Busy from None
            time.sleep(0.01)
        else:
            return


def _place(site: CallSite | None) -> Place:
    return (site.file, site.line, site.function) if site else _NOWHERE


def _shown(place: Place) -> dict[str, Any]:
    file, line, function = place
    root = os.fspath(getattr(settings, "BASE_DIR", "") or os.getcwd())
    if file.startswith(root + os.sep):
        file = os.path.relpath(file, root)
    return {"file": file, "line": line, "function": function}


def _without_names(seen: Statement) -> Statement:
    reads, writes = (
        tuple((owner, "") for owner in sorted({owner for owner, _ in of})) for of in (seen.reads, seen.writes)
    )
    return Statement(reads, writes)
