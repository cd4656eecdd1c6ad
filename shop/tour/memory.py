"""How much memory the shop's processes take, sampled while it works."""

import threading
import xmlrpc.client
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import msgspec
import psutil

MEMORY = "memory.jsonl"
EVERY_S = 2.0


class MemorySample(msgspec.Struct, frozen=True, kw_only=True):
    """Megabytes (10^6 bytes) by process name, children included, at a moment in UTC."""

    at: datetime
    mb: dict[str, float]


class MemoryWatch:
    """Samples in a thread, from `start` to `stop`, the trees of processes that `roots` names.

    On Linux memory is PSS: a page that several processes share counts once in all, so the sum is what the machine
    really gives. Elsewhere it is RSS, and shared pages count in each.
    """

    def __init__(self, roots: Callable[[], Mapping[str, int]]) -> None:
        self.samples: list[MemorySample] = []
        self._roots = roots
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="memory")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                roots = self._roots()
            except (OSError, HTTPException, xmlrpc.client.Error):  # the supervisor is busy or gone: no sample now
                roots = {}
            if roots:
                self.samples.append(MemorySample(at=datetime.now(UTC), mb=memory_mb(roots)))
            self._stop.wait(EVERY_S)


def write_memory(path: Path, samples: Iterable[MemorySample]) -> None:
    """Keep what was measured, a line for each moment."""
    path.write_bytes(b"".join(msgspec.json.encode(sample) + b"\n" for sample in samples))


def memory_mb(roots: Mapping[str, int]) -> dict[str, float]:
    """Megabytes of each named process and its descendants; a process that is gone counts nothing."""
    total: dict[str, float] = defaultdict(float)
    for name, pid in roots.items():
        try:
            root = psutil.Process(pid)
            for process in [root, *root.children(recursive=True)]:
                try:
                    total[name] += _bytes_of(process) / 1e6
                except psutil.Error:
                    continue
        except psutil.Error:
            continue
    return {name: round(mb, 1) for name, mb in total.items()}


def measure() -> str:
    """What a number of megabytes means on this system: PSS or RSS."""
    return "PSS" if hasattr(psutil.Process().memory_full_info(), "pss") else "RSS"


def _bytes_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):
        return int(process.memory_info().rss)
