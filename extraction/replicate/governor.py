"""Holds work back: to a rate, and while the servers suffer from it or their replicas fall behind."""

import statistics
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

from psycopg import Connection

from extraction.queries import Queries

_queries = Queries(Path(__file__).with_name("governor.sql"))

WORSE, LEAST_MS = 3.0, 20.0
"""A commit takes too long at more than so many times the first readings, and more than this."""
FIRST_READINGS, READINGS = 5, 3
REST_S = 5.0
"""A server that is as slow after so long without us is not slow because of us."""
MB = 2**20


class Governor:
    """Lets an amount of work pass, for many threads at a time."""

    def __init__(self, most_per_s: float = 0.0) -> None:
        """Any rate with 0."""
        self._most_per_s, self._free_at, self._lock = most_per_s, 0.0, threading.Lock()
        self._may_pass = threading.Event()
        self._may_pass.set()

    def hold(self) -> None:
        """Let nothing pass until `release`."""
        self._may_pass.clear()

    def release(self) -> None:
        self._may_pass.set()

    def take(self, amount: float, stopping: threading.Event) -> None:
        """Return when this much may be done, or as soon as `stopping` is set."""
        while not self._may_pass.wait(0.1):
            if stopping.is_set():
                return
        if not self._most_per_s:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + amount / self._most_per_s
            wait_s = self._free_at - now
        stopping.wait(wait_s)


class Strain:
    """Whether a server's commits take longer than before the work began. Made before it begins."""

    def __init__(self, connection: Connection[Any]) -> None:
        """Writes a record of its own to the log of the server, to no table."""
        self._connection = connection
        self.usual_ms = statistics.median(self._commit_ms() for _ in range(FIRST_READINGS))
        self._last: deque[float] = deque(maxlen=READINGS)
        self._resting: list[float] = []
        self._rests_since = 0.0

    def told(self) -> str:
        """Take a reading; says why the work should rest, or nothing."""
        self._last.append(self._commit_ms())
        now_ms = statistics.median(self._last)
        if now_ms <= max(WORSE * self.usual_ms, LEAST_MS):
            self._resting.clear()
            return ""
        if not self._resting:
            self._rests_since = time.monotonic()
        self._resting.append(self._last[-1])
        if time.monotonic() - self._rests_since > REST_S:
            self.usual_ms = statistics.median(self._resting[len(self._resting) // 2 :])
            self._resting.clear()
            return ""
        return f"a commit takes {now_ms:.0f} ms, before {self.usual_ms:.1f} ms"

    def _commit_ms(self) -> float:
        began = time.perf_counter()
        self._connection.execute(_queries("commit"))
        return (time.perf_counter() - began) * 1000


class Followers:
    """Whether somebody who reads a server's log falls behind further than when the work began."""

    def __init__(self, connection: Connection[Any], *, except_for: str, most_mb: float) -> None:
        """`except_for` begins the names of the slots that do not count."""
        self._connection, self._except, self._most_mb = connection, except_for, most_mb
        self._first = self._lags()

    def told(self) -> str:
        """Says which slot, and how far, or nothing."""
        for slot, lag_bytes in self._lags().items():
            more_mb = (lag_bytes - self._first.setdefault(slot, lag_bytes)) / MB
            if more_mb > self._most_mb:
                return f"slot {slot} has fallen behind by {more_mb:.0f} MB"
        return ""

    def _lags(self) -> dict[str, int]:
        return dict(self._connection.execute(_queries("lags"), {"except_for": self._except}).fetchall())
