"""What the move would take: time of the copy, room on the target, WAL that waits on the source, the pause."""

import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg
from django.db import Error as DatabaseError
from psycopg import sql

from extraction.models import Record
from extraction.plan.errors import Unknown
from extraction.plan.rates import Rates
from extraction.plan.sizes import Moves
from extraction.plan.source import Source

SAMPLE_S = 2.0
SLOWEST_FACTOR = 10
"""What a copy takes at most, in times of what reading alone takes. docs/plan.md has the measurement."""
TRIAL_PAUSE_MS = (7.0, 11.0)
"""Medians of two trials with 64 switches, lock to open; docs/plan.md."""
_LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What was read of a table with COPY … TO STDOUT."""

    table: str
    rows: int
    bytes: int
    """As text, which is what is sent."""
    stored_bytes: int
    """What these rows take on disk, without indexes."""
    seconds: float
    is_whole: bool

    @property
    def rows_per_s(self) -> float:
        return self.rows / self.seconds

    @property
    def bytes_per_s(self) -> float:
        return self.bytes / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    sample: Sample | None
    """None where there is no row to read."""
    copy_s: tuple[float, float]
    target_bytes: int
    """As on the source, which has bloat and the target has none."""
    wal_bytes: tuple[float, float] | None
    """Held back while the copy lasts; None where nobody looked how much is written."""
    slot_limit_bytes: int
    """max_slot_wal_keep_size; -1 is none."""
    free_bytes: int | None
    """On the disk of the source's server; None where it is another machine's."""
    pause_ms: tuple[float, float]
    pause_from: str


def estimates_of(source: Source, moves: Moves, rates: Rates | None) -> Estimates:
    """Read a little of the largest table, and reckon. Raises Unknown."""
    sample = sample_of(source, moves)
    shortest = _shortest_s(moves, sample)
    copy_s = (shortest, shortest * SLOWEST_FACTOR)
    pause_ms, pause_from = _pause(source.module.name)
    return Estimates(
        sample=sample,
        copy_s=copy_s,
        target_bytes=moves.bytes,
        wal_bytes=None if rates is None else (rates.wal_bytes_per_s * copy_s[0], rates.wal_bytes_per_s * copy_s[1]),
        slot_limit_bytes=int(source.one("slot_limit")[0]),
        free_bytes=_free_bytes(source),
        pause_ms=pause_ms,
        pause_from=pause_from,
    )


def sample_of(source: Source, moves: Moves, *, at_most_s: float = SAMPLE_S) -> Sample | None:
    """Read the largest table for so long. Raises Unknown."""
    largest = moves.tables[0]
    read, lines, is_whole = 0, 0, True
    began = time.monotonic()
    try:
        with suppress(_Enough), source.connection.cursor() as cursor:
            copying = sql.SQL("COPY {} TO STDOUT").format(largest.identifier)
            with cursor.copy(copying) as copy:
                for block in copy:
                    read += len(block)
                    lines += bytes(block).count(b"\n")  # a line break within a row is written \n, as two characters
                    if time.monotonic() - began > at_most_s:
                        is_whole = False
                        raise _Enough  # whoever just leaves the block keeps a connection that still copies
    except psycopg.errors.QueryCanceled:
        is_whole = False
    except psycopg.Error as error:
        raise Unknown(f"no sample copy: {source.reason(error, is_table=True)}") from error
    took_s = max(time.monotonic() - began, 0.001)
    if not lines:
        return None
    stored = largest.heap_bytes + largest.toast_bytes
    part = 1.0 if is_whole else min(1.0, lines / largest.rows) if largest.rows > 0 else min(1.0, read / max(1, stored))
    return Sample(
        table=largest.name,
        rows=lines,
        bytes=read,
        stored_bytes=round(stored * part),
        seconds=took_s,
        is_whole=is_whole,
    )


class _Enough(Exception):
    """The sample is large enough."""


def _shortest_s(moves: Moves, sample: Sample | None) -> float:
    """By rows or by bytes, whichever takes longer."""
    if sample is None:
        return 0.0
    return sample.seconds * max(moves.rows / sample.rows, moves.data_bytes / max(1, sample.stored_bytes))


def _free_bytes(source: Source) -> int | None:
    if urlsplit(source.url).hostname not in _LOCAL:
        return None
    try:
        directory, port = source.one("directory")
        lines = (Path(directory) / "postmaster.pid").read_text().splitlines()
        return shutil.disk_usage(directory).free if lines[3] == str(port) else None
    except (Unknown, OSError, IndexError):
        return None


def _pause(module: str) -> tuple[tuple[float, float], str]:
    """What this project's own switches took, else those of the trial."""
    try:
        done = Record.objects.using("default").filter(stage__in=("cutover", "rollback"), what="done")
        found = [
            float(record.evidence["lock_to_open_ms"])
            for record in done.order_by("-id")[:100]
            if record.evidence.get("lock_to_open_ms")
        ]
    except DatabaseError:
        found = []
    if found:
        return (median(found), max(found)), f"median and worst of {len(found)} switches on record here"
    return TRIAL_PAUSE_MS, "medians of two trials with 64 switches, none is on record here (docs/plan.md)"
