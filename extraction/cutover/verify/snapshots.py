"""Connections to both sides that all see the module as it was at one moment."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.cutover.sessions import away, session
from extraction.cutover.still import ENDED_BY_THE_SERVER, attempting, still
from extraction.cutover.verify.compare import Both
from extraction.cutover.verify.errors import Stale
from extraction.cutover.verify.tables import queries
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair, Side

SPARE_S = 60
"""The server ends a snapshot that is unused so much longer than it may last: nobody is left to let go of it."""
CHUNK_S = 24 * 3600
"""The same while a chunk is compared: the faster side waits for the other."""


class Snapshots:
    """So many connections to each side, each in a transaction of the newest moment that was taken."""

    def __init__(
        self, pair: Pair, both: list[Both], *, home: str, max_pause_ms: int, idle_s: float, command: str
    ) -> None:
        self._pair, self._both, self._home = pair, both, home
        self._max_pause_ms, self._idle_s, self._command = max_pause_ms, idle_s, command
        self._free: SimpleQueue[Both] = SimpleQueue()
        self.moments: list[datetime] = []
        self.longest_pause_ms = 0.0
        self._taken = 0.0

    @property
    def connections(self) -> list[Connection[Any]]:
        return [connection for both in self._both for connection in (both.source, both.target)]

    @property
    def age_s(self) -> float:
        """Of the newest moment."""
        return time.monotonic() - self._taken

    def take(self, *, attempts: int, tell: Tell) -> None:
        """Hold writers for some milliseconds, and begin anew on each connection, of which none may be lent."""
        with self._told():
            pause_ms = attempting(lambda _: self._take(), attempts=attempts, tell=tell)
        self.longest_pause_ms = max(self.longest_pause_ms, pause_ms)
        while not self._free.empty():
            self._free.get()
        for both in self._both:
            self._free.put(both)
        tell(f"snapshots of both sides after a pause of {pause_ms:.1f} ms")

    @contextmanager
    def lent(self) -> Iterator[Both]:
        """One of the connections to each side. Raises Away and Stale for what their servers did."""
        both = self._free.get()
        try:
            with self._told():
                if both.is_in_snapshot:
                    both.ask(_idle(CHUNK_S))
                yield both
                if both.is_in_snapshot:
                    both.ask(_idle(self._idle_s))
        finally:
            self._free.put(both)

    def rest(self) -> None:
        """Let the snapshots of the connections go that nobody uses. Raises as `lent` does."""
        unused = []
        while True:
            try:
                unused.append(self._free.get_nowait())
            except Empty:
                break
        try:
            with self._told():
                for both in unused:
                    both.source.rollback()
                    both.target.rollback()
        finally:
            for both in unused:
                self._free.put(both)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except ENDED_BY_THE_SERVER as error:
            raise Stale(
                f"a server ended a snapshot of {self._pair.module} ({error.diag.message_primary}); what was found "
                f"equal is kept. Run: {self._command}"
            ) from None
        except psycopg.OperationalError as error:
            side = self._pair.source if any(both.source.closed for both in self._both) else self._pair.target
            raise away(side, error, command=self._command) from None

    def _take(self) -> float:
        """Returns the pause in ms."""
        for connection in self.connections:
            connection.rollback()
            connection.execute(queries("begin"))
        first, *others = self._both
        with still(self._pair, home=self._home, max_pause_ms=self._max_pause_ms, command=self._command) as held:
            held.arrived(held.beat())
            exported = first.ask(queries("export"))
            held.lock.rollback()
            pause_ms = (time.perf_counter() - held.began) * 1000
            self.moments.append(datetime.now(UTC))
            self._taken = time.monotonic()
        for both in others:
            for connection, ((snapshot,),) in zip((both.source, both.target), exported, strict=True):
                connection.execute(queries("import", snapshot=sql.Literal(snapshot)))
        return pause_ms


@contextmanager
def connected(
    pair: Pair, *, home: str, workers: int, max_pause_ms: int, max_snapshot_s: float, command: str
) -> Iterator[Snapshots]:
    """Connections to both sides, without a moment yet. Raises Away."""
    idle_s = max_snapshot_s + SPARE_S
    units = (pair.source.unit, pair.target.unit)
    with ExitStack() as stack:
        beside = stack.enter_context(ThreadPoolExecutor(workers))

        def opened(side: Side) -> Connection[Any]:
            return stack.enter_context(session(pair, side, command=command))

        both = [Both(units, opened(pair.source), opened(pair.target), beside) for _ in range(workers)]
        snapshots = Snapshots(pair, both, home=home, max_pause_ms=max_pause_ms, idle_s=idle_s, command=command)
        for connection in snapshots.connections:
            connection.execute(queries("pin", idle_ms=_ms(idle_s)))
        yield snapshots


def _idle(seconds: float) -> sql.Composed:
    return queries("idle", idle_ms=_ms(seconds))


def _ms(seconds: float) -> sql.Literal:
    return sql.Literal(str(int(seconds * 1000)))
