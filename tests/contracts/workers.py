"""Real Celery workers as child processes of a test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def worker(unit: str, *, modules: str, broker: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of this unit with these modules, on this test's database and broker, without beat."""
    command = [sys.executable, "-m", "celery", "-A", "shop", "worker", "-Q", unit, "-c", "1", "-n", f"{unit}@test"]
    options = ["--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "error"]
    environment = {**os.environ, "SHOP_UNIT": unit, "SHOP_MODULES": modules}
    environment["BROKER_URL"] = broker or environment["BROKER_URL"]
    process = subprocess.Popen([*command, *options], env=environment, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
