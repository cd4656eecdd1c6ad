"""gunicorn's configuration. Sizes and address come from the environment."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from extraction.platform.local.tether import end_with_parent

bind = os.environ.get("WEB_BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
worker_class = "gthread"
keepalive = 15
timeout = 30
graceful_timeout = 10
# One import for all workers, and before the port opens.
preload_app = True
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if sys.platform == "linux" and os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def on_starting(server: Any) -> None:
    """Open the port only when the databases are ready for this code."""
    if marker := os.environ.get("SHOP_WAIT_FOR"):
        while not Path(marker).exists():
            time.sleep(0.02)


def post_fork(server: Any, worker: Any) -> None:
    """A worker whose master was killed would hold the port for another second."""
    end_with_parent(signal.SIGTERM)
