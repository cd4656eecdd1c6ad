"""The load beside the stages: a process that is started, watched, and ended gently."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.conf import settings

from shop.tour.journeys import ASK_AGAIN_FOR_S
from shop.tour.load import TIMEOUT_S, Progress

LOAD_LOG = "load.log"


class Loading:
    """Customers who buy from `start` to `end`. `tell` gets every line of progress, in a thread of its own."""

    def __init__(self, *, out: Path, tell: Callable[[Progress], None]) -> None:
        self.trouble = ""
        """Why the load ended before it was told to, or ended badly."""
        self.load_s = 0.0
        self._out, self._tell = out, tell
        self._process: subprocess.Popen[bytes] | None = None
        self._reader = threading.Thread(target=self._read, daemon=True, name="load")
        self._begun = 0.0

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, url: str, *, rate: float, seed: int) -> datetime:
        """Customers begin to buy. Returns when it was, UTC."""
        self._begun = time.monotonic()
        with (self._out / LOAD_LOG).open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603
                [
                    *(sys.executable, "-m", "shop.tour.load", "--url", url, "--out", str(self._out)),
                    *("--rate", str(rate), "--seed", str(seed)),
                ],
                cwd=settings.BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # so that Ctrl-C reaches it through here, once
            )
        self._reader.start()
        return datetime.now(UTC)

    def end(self) -> None:
        """No new requests; those on their way are waited for, and lost answers asked for again. May be repeated."""
        process = self._process
        if process is None or self.load_s:
            return
        if not self.is_running:
            self.trouble = f"the load ended by itself with status {process.returncode}: {self._last_words()}"
        self.load_s = time.monotonic() - self._begun
        process.terminate()
        try:
            self._reader.join(timeout=ASK_AGAIN_FOR_S + 2 * TIMEOUT_S)
            process.wait(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.trouble = "the load did not end when it was told to"
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode and not self.trouble:
            self.trouble = f"the load ended with status {process.returncode}: {self._last_words()}"

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._tell(msgspec.json.decode(line, type=Progress))

    def _last_words(self) -> str:
        log = (self._out / LOAD_LOG).read_text(errors="replace")
        return log.strip().rpartition("\n")[2] or "it said nothing"
