"""Both sides hold the same rows, proven while writers write; or the rows that differ."""

import hashlib
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from extraction.cutover.errors import NotFollowing
from extraction.cutover.sessions import limited, session, settled
from extraction.cutover.verify.chunks import Chunk, chunks
from extraction.cutover.verify.compare import MOST_KEYS, Part, TableResult, compare, together
from extraction.cutover.verify.ledger import Found, Ledger, Memory
from extraction.cutover.verify.progress import Progress
from extraction.cutover.verify.snapshots import Snapshots, connected
from extraction.cutover.verify.tables import Table, tables
from extraction.cutover.verify.throttle import Throttle
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair

WORKERS = 2
MAX_SNAPSHOT_S = 300.0
TICK_S = 0.2
"""How often it is looked at what was said and asked meanwhile."""
KEEP_EVERY_S = 1.0
"""What was found equal is kept."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some chunks of each table, drawn at random: the same ones again with the same seed."""

    percent: float
    seed: int

    def of(self, every: list[Chunk]) -> list[Chunk]:
        count = math.ceil(len(every) * self.percent / 100)
        return random.Random(f"{self.seed} {every[0].table}").sample(every, count)  # noqa: S311


@dataclass(frozen=True, slots=True)
class Verification:
    """What was compared. Each chunk was equal as of its own snapshot, the first and the last of which are given.

    Writers were refused for at most `pause_ms` at a time, while both sides took a snapshot.
    """

    tables: tuple[TableResult, ...]
    pause_ms: float
    took_s: float
    snapshots: int
    first_at: datetime
    last_at: datetime
    chunks: int
    """Of all tables."""
    chunks_kept: int
    """Of an earlier run."""
    chunks_sampled: int | None = None
    """Compared, where not all were."""
    differing: tuple[tuple[Table, Part], ...] = field(default=(), repr=False)

    @property
    def equal(self) -> bool:
        return all(table.is_equal for table in self.tables)

    @property
    def rows(self) -> int:
        return sum(table.rows_source for table in self.tables)


def verify(
    pair: Pair,
    *,
    max_pause_ms: int = 300,
    attempts: int = 20,
    tell: Tell = lambda _: None,
    workers: int = WORKERS,
    max_snapshot_s: float = MAX_SNAPSHOT_S,
    max_rows_s: float = 0,
    sample: Sample | None = None,
    ledger: Ledger | None = None,
    differs: Callable[[], None] = lambda: None,
) -> Verification:
    """Compare the tables of the module on both sides, chunk by chunk, each as both were at one moment.

    `max_rows_s` is the most of a side, any number with 0. What `ledger` knows to be equal is not compared again; a
    sample asks it nothing. `differs` is called as soon as a chunk does, whatever comes after. Whatever `tell` raises
    ends it. Raises CutoverError.
    """
    began = time.perf_counter()
    command = f"manage.py extract verify {pair.module}"
    now, is_settled = settled(pair, command=command)
    if not is_settled:
        raise NotFollowing(
            f"{pair.module} lives in {now.home}, and the other side has not heard of it; wait for its stream, then "
            f"run: {command}"
        )
    with ExitStack() as stack:
        snapshots = stack.enter_context(
            connected(
                pair,
                home=now.home,
                workers=workers,
                max_pause_ms=max_pause_ms,
                max_snapshot_s=max_snapshot_s,
                command=command,
            )
        )
        home = stack.enter_context(session(pair, pair.side(now.home), command=command))
        throttle = stack.enter_context(Throttle(home, max_rows_s=max_rows_s, tell=tell))
        snapshots.take(attempts=attempts, tell=tell)
        with snapshots.lent() as both:
            found = tables(pair, both.source, both.target, command)
            comparison = _Comparison(found, snapshots, throttle, Memory() if ledger is None else ledger, tell, differs)
            comparison.plan(
                both.source,
                identity=f"{pair.id} {now.home} {now.epoch}",
                sample=sample,
                most_rows=max_rows_s or math.inf,
            )
        comparison.run(workers=workers, max_snapshot_s=max_snapshot_s, attempts=attempts)
        return comparison.result(time.perf_counter() - began)


class _Comparison:
    def __init__(
        self,
        found: list[Table],
        snapshots: Snapshots,
        throttle: Throttle,
        ledger: Ledger,
        tell: Tell,
        differs: Callable[[], None],
    ) -> None:
        self._tables = {table.name: table for table in found}
        self._snapshots, self._throttle, self._ledger = snapshots, throttle, ledger
        self._tell, self._differs = tell, differs
        self._progress = Progress(tell)
        self._pausing = threading.Event()
        self._todo: deque[Chunk] = deque()
        self._parts: list[Part] = []
        self._keys = 0
        self._kept: list[tuple[Chunk, Found]] = []
        self._fresh: list[tuple[Chunk, Found]] = []
        self._fresh_since = time.monotonic()
        self._chunks = 0
        self._sample: Sample | None = None

    def plan(self, source: Connection[Any], *, identity: str, sample: Sample | None, most_rows: float) -> None:
        """What there is to compare: all that is not known to be equal, or a sample."""
        self._sample = sample
        if sample:
            self._ledger = Memory()
        definitions = "".join(table.definition for table in self._tables.values())
        known = self._ledger.begin(f"{identity} {hashlib.sha256(definitions.encode()).hexdigest()[:32]}")
        for table in self._tables.values():
            planned = known.get(table.name)
            if planned is None:
                every = chunks(table, source, seed=sample.seed if sample else 0, most_rows=most_rows)
                self._ledger.plan(every)
                planned = [(chunk, None) for chunk in every]
            self._chunks += len(planned)
            self._kept += [(chunk, found) for chunk, found in planned if found]
            todo = [chunk for chunk, found in planned if not found]
            for chunk in sample.of(todo) if sample else todo:
                self._todo.append(chunk)
                self._progress.expect(chunk, table.rows / len(planned))
        if self._kept:
            self._tell(f"{len(self._kept)} of {self._chunks} chunks were found equal before")

    def run(self, *, workers: int, max_snapshot_s: float, attempts: int) -> None:
        """Compare what is left, so many chunks at a time, with new snapshots where the last are too old."""
        running: dict[Future[Part | None], Chunk] = {}
        with ThreadPoolExecutor(workers) as pool:
            try:
                while self._todo or running:
                    if self._snapshots.age_s > max_snapshot_s:
                        self._pausing.set()
                    if self._pausing.is_set():
                        self._snapshots.rest()
                        if not running:
                            self._snapshots.take(attempts=attempts, tell=self._tell)
                            self._pausing.clear()
                    while self._todo and len(running) < workers and not self._pausing.is_set():
                        chunk = self._todo.popleft()
                        running[pool.submit(self._compare, chunk)] = chunk
                    done, _ = wait(running, timeout=TICK_S, return_when=FIRST_COMPLETED)
                    self._take_in((running.pop(future), future.result()) for future in done)
                    self._look()
            except BaseException:
                self._pausing.set()
                # Whatever a server or a frozen one is at: nobody waits for it any more.
                with limited(0, *self._snapshots.connections):
                    pool.shutdown()
                raise
            finally:
                self._keep()

    def result(self, took_s: float) -> Verification:
        moments = [*self._snapshots.moments, *(found.at for _, found in self._kept)]
        parts = [*self._parts, *(Part(chunk, found.rows, found.rows) for chunk, found in self._kept)]
        by_table = {name: [part for part in parts if part.chunk.table == name] for name in self._tables}
        results = Verification(
            tuple(together(table, by_table[name]) for name, table in self._tables.items()),
            self._snapshots.longest_pause_ms,
            took_s,
            len(self._snapshots.moments),
            min(moments),
            max(moments),
            self._chunks,
            len(self._kept),
            len(self._parts) if self._sample else None,
            tuple((self._tables[part.chunk.table], part) for part in self._parts if not part.is_equal),
        )
        if results.equal:
            self._ledger.clear()
        return results

    def _compare(self, chunk: Chunk) -> Part | None:
        """In a thread. None where it was not begun, for the snapshots grow old."""
        self._throttle.take(self._progress.expected(chunk), self._pausing)
        if self._pausing.is_set():
            return None
        with self._snapshots.lent() as both:
            if not both.is_in_snapshot:
                return None
            most_keys = max(MOST_KEYS - self._keys, 0)
            return compare(self._tables[chunk.table], chunk, both, most_keys=most_keys)

    def _take_in(self, done: Iterable[tuple[Chunk, Part | None]]) -> None:
        for chunk, part in done:
            if part is None:
                self._todo.appendleft(chunk)
                continue
            kept = replace(part, unlike=part.unlike[: MOST_KEYS - self._keys])
            self._parts.append(kept)
            self._keys += len(kept.unlike)
            self._progress.add(chunk, part.rows_source)
            if part.is_equal:
                self._fresh.append((chunk, Found(part.rows_source, self._snapshots.moments[-1])))
            else:
                self._differs()

    def _look(self) -> None:
        self._throttle.look()
        self._progress.look()
        self._tell("")
        if time.monotonic() > self._fresh_since + KEEP_EVERY_S:
            self._keep()

    def _keep(self) -> None:
        self._ledger.found(self._fresh)
        self._fresh, self._fresh_since = [], time.monotonic()
