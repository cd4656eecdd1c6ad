"""Programs that work on the shop while customers buy: manage.py and the census, each a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from django.conf import settings

STOPS_WITHIN_S = 30.0
"""An interrupted program may take so long to stop between two steps."""


class ChildFailed(RuntimeError):
    """A program ended with a status that is not expected; the message ends with what it said last."""


def run(
    *command: str, environment: Mapping[str, str], log: Path, tell: Callable[[str], None], is_ok: tuple[int, ...] = (0,)
) -> bytes:
    """Standard output of a Python program. What it says on standard error is told line by line and kept in `log`.

    A Ctrl-C is passed on, so that it stops where it can go on later. Raises ChildFailed.
    """
    said = ""
    output = log.with_suffix(".out")
    with output.open("wb") as out, log.open("a") as kept:
        child = subprocess.Popen(  # noqa: S603
            [sys.executable, *command],
            cwd=settings.BASE_DIR,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that Ctrl-C reaches it through here, once
        )
        try:
            assert child.stderr is not None
            for line in child.stderr:
                kept.write(line)
                if line.strip():
                    said = line.strip()
                    tell(said)
            child.wait()
        except (KeyboardInterrupt, SystemExit):
            child.send_signal(signal.SIGINT)
            _end(child)
            raise
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    answer = output.read_bytes()
    output.unlink()
    if child.returncode not in is_ok or (child.returncode and not answer):
        raise ChildFailed(f"{' '.join(command)} ended with status {child.returncode}: {said or 'it said nothing'}")
    return answer


def _end(child: subprocess.Popen[str]) -> None:
    try:
        child.communicate(timeout=STOPS_WITHIN_S)
    except subprocess.TimeoutExpired:
        return
