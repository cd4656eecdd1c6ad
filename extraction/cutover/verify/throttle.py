"""How fast a comparison may go: so many rows a second, and less while its servers suffer."""

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

from psycopg import Connection

from extraction.platform.protocol import Tell
from extraction.replicate.governor import Governor, Strain

EVERY_S = 1.0


class Throttle:
    """Rests while commits at the home take longer than before. The readings are taken beside the work."""

    def __init__(self, home: Connection[Any], *, max_rows_s: float, tell: Tell) -> None:
        self._governor, self._strain, self._tell = Governor(max_rows_s), Strain(home), tell
        self._beside = ThreadPoolExecutor(1)
        self._reading: Future[str] | None = None
        self._next = 0.0
        self._why = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._governor.release()
        self._beside.shutdown(wait=False)

    def take(self, rows: float, stopping: threading.Event) -> None:
        """Return when so many rows may be compared, or as soon as `stopping` is set."""
        self._governor.take(rows, stopping)

    def look(self) -> None:
        """Take the last reading into account. Raises what it raised."""
        if self._reading is not None and self._reading.done():
            why, self._reading = self._reading.result(), None
            if why and not self._why:
                self._tell(f"rests: {why}")
            elif self._why and not why:
                self._tell("goes on")
            self._why = why
            (self._governor.hold if why else self._governor.release)()
        if self._reading is None and time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_S
            self._reading = self._beside.submit(self._strain.told)
