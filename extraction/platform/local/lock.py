"""One platform in a state directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from extraction.platform.errors import AlreadyRunning


@contextmanager
def locked(state: Path, *, remedy: str = "or set SHOP_STATE_DIR to another folder") -> Iterator[None]:
    """Hold the directory; the kernel lets go when this process ends. Raises AlreadyRunning."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "?"
            raise AlreadyRunning(
                f"{state} is in use by process {holder}; end that (Ctrl-C there, or: kill {holder}), {remedy}"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
