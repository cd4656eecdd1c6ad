"""Servers and a shop of their own for the tests of the platform, so that they break nothing of the run's."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from extraction.platform.local.postgres import Postgres
from tests.embedded import unembedded

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def own_server() -> Iterator[Postgres]:
    """A server whose roles and databases no other test uses."""
    directory = Path(tempfile.mkdtemp(prefix="shop-server-"))
    server = Postgres(directory, durable=False)
    server.prepare()
    process = server.start(directory / "log")
    server.wait()
    yield server
    process.send_signal(signal.SIGINT)
    process.wait()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A state directory. Not a tmp_path: every run of pytest closes those to the user that PostgreSQL runs as."""
    directory = Path(tempfile.mkdtemp(prefix="shop-state-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def machine() -> dict[str, str]:
    """The environment of a fresh shell."""
    return unembedded()


@pytest.fixture
def small_disk(state: Path) -> Iterator[Path]:
    """A file system of 30 MB."""
    disk = state / "disk"
    disk.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=30m,mode=755", "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _up(state: Path, *options: str, given: dict[str, str]) -> subprocess.Popen[str]:
    """`manage.py up` on this state directory, its output to be read."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "up", "--port", "0", "--plain", *options],
        cwd=ROOT,
        env=given | {"SHOP_STATE_DIR": str(state)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Up:
    """A running `up` and what it has said so far."""

    def __init__(self, state: Path, *options: str, given: dict[str, str]) -> None:
        self.state = state
        self.process = _up(state, *options, given=given)
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(iter(self.process.stdout.readline, ""))

    @property
    def output(self) -> str:
        return "".join(self.said)

    def url(self) -> str:
        """Its address, when it says that it answers."""
        assert eventually(lambda: "Logs" in self.output or self.process.poll() is not None, within_s=200), self.output
        match = re.search(r"Shop +(http://\S+)/", self.output)
        assert match, self.output
        return match[1]

    def pid(self, name: str) -> int:
        return int((self.state / "run" / f"{name}.pid").read_text().split()[0])

    def ended(self) -> tuple[int, str]:
        """Its exit status and all that it said."""
        status = self.process.wait(timeout=40)
        self._reader.join()
        return status, self.output


def running_for(state: Path) -> list[str]:
    """The processes that work on this state directory, whoever is their parent."""
    found = []
    for process in psutil.process_iter():
        try:
            of_state = process.environ().get("SHOP_STATE_DIR") == str(state)
            if of_state or any(str(state) in word for word in process.cmdline()):
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
        except psutil.Error:
            continue
    return [line for line in found if not line.startswith(f"{os.getpid()} ")]


def eventually(condition: Callable[[], object], *, within_s: float = 20) -> bool:
    """True as soon as the condition holds, False when the time is over."""
    end = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
