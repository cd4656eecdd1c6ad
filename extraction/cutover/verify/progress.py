"""What a comparison says of itself while it lasts."""

import time

from extraction.cutover.verify.chunks import Chunk
from extraction.platform.protocol import Tell

EVERY_S = 2.0


class Progress:
    """Rows compared, rate and time left, said every 2 s. The rows to come are estimates of the server."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._began = self._said = time.monotonic()
        self._rows = 0
        self._left: dict[Chunk, float] = {}

    def expect(self, chunk: Chunk, rows: float) -> None:
        self._left[chunk] = rows

    def expected(self, chunk: Chunk) -> float:
        """Rows of this chunk."""
        return self._left[chunk]

    def add(self, chunk: Chunk, rows: int) -> None:
        self._rows += rows
        self._left.pop(chunk, None)

    def look(self) -> None:
        """Say it, if it was not said for so long."""
        now = time.monotonic()
        if now < self._said + EVERY_S:
            return
        self._said, took_s = now, now - self._began
        rate, left = self._rows / took_s, sum(self._left.values())
        time_left = f", about {left / rate:.0f} s left" if rate else ""
        self._tell(f"{self._rows} of about {self._rows + left:.0f} rows, {rate:.0f} rows/s{time_left}")
