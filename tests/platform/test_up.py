"""`manage.py up` for real. The tests of a module-scoped shop come first; those that end one follow."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from shop.machine import status_of
from tests.platform.conftest import eventually, running_for, up

pytestmark = pytest.mark.timeout(90)


class Up:
    """A running `up` and what it has said so far."""

    def __init__(self, state: Path, *options: str, given: dict[str, str]) -> None:
        self.state = state
        self.process = up(state, *options, given=given)
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
        assert eventually(lambda: "Logs" in self.output or self.process.poll() is not None, within_s=60), self.output
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


@pytest.fixture(scope="module")
def shop(state: Path, machine: dict[str, str]) -> Iterator[Up]:
    shop = Up(state, given=machine)
    yield shop
    if shop.process.poll() is None:
        shop.process.send_signal(signal.SIGINT)
        shop.ended()


def test_up_answers_and_says_where_and_how_fast_and_who_may_sign_in(shop: Up) -> None:
    url = shop.url()
    assert status_of(f"{url}/healthz") == 200
    assert re.search(r"Answering after \d+\.\d s", shop.output)
    assert "customer-001@shop.example" in shop.output
    assert "password demo" in shop.output


def test_the_port_opens_after_the_migrations(shop: Up) -> None:
    shop.url()
    log = (shop.state / "log" / "web.log").read_text()
    listening = re.search(r"\[(\S+ \S+ \S+)\] .*Listening", log)
    assert listening, log
    opened_at = datetime.strptime(listening[1], "%Y-%m-%d %H:%M:%S %z").timestamp()
    assert opened_at >= int((shop.state / "run" / "migrated").stat().st_mtime)


def test_what_up_says_and_logs_holds_no_secret(shop: Up) -> None:
    env = (shop.state / "env").read_text()
    secrets = re.findall(r"//\w+:([^@]+)@", env) + re.findall(r"(?:SECRET_KEY|WEBHOOK_SECRET)='(\w[^']+)'", env)
    assert len(secrets) >= 7
    said = shop.output + "".join(file.read_text() for file in (shop.state / "log").iterdir())
    assert [secret for secret in secrets if secret in said] == []
    assert (shop.state / "env").stat().st_mode & 0o777 == 0o600


def test_static_files_are_served_without_collecting_them(shop: Up) -> None:
    assert status_of(f"{shop.url()}/static/storefront/shop.css") == 200


def test_manage_commands_work_on_the_shop_that_runs(shop: Up, machine: dict[str, str]) -> None:
    command = [sys.executable, "manage.py", "migrate", "--check"]
    result = subprocess.run(command, env=machine | {"SHOP_STATE_DIR": str(shop.state)}, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_second_up_says_who_holds_the_state_and_stops(shop: Up, machine: dict[str, str]) -> None:
    shop.url()
    status, said = Up(shop.state, given=machine).ended()
    assert status == 1
    assert f"in use by process {shop.process.pid}; end that (Ctrl-C there, or: kill {shop.process.pid})" in said
    assert status_of(f"{shop.url()}/healthz") == 200


@pytest.mark.parametrize("name", ["web", "worker", "errands", "postgres"])
def test_what_is_killed_is_started_again_and_its_children_do_not_go_on(shop: Up, name: str) -> None:
    url = shop.url()
    before = shop.pid(name)
    children = psutil.Process(before).children(recursive=True)
    assert children or name == "errands"  # which has threads
    os.kill(before, signal.SIGKILL)
    assert eventually(lambda: shop.pid(name) != before)
    assert eventually(lambda: not any(child.is_running() for child in children)), children
    assert eventually(lambda: f"{name} was started again" in shop.output)
    assert eventually(lambda: status_of(f"{url}/healthz") == 200)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next start ends what is left")
def test_after_the_supervisor_is_killed_nothing_is_left_and_after_a_new_up_and_ctrl_c_neither(
    shop: Up, machine: dict[str, str]
) -> None:
    shop.url()
    os.kill(shop.pid("supervisord"), signal.SIGKILL)
    status, said = shop.ended()
    assert status == 1
    assert re.search(r"the supervisor ended; see .*supervisord.log, then start again", said)
    assert running_for(shop.state) == []
    env = (shop.state / "env").read_text()

    # And somebody took the server's port meanwhile.
    taken = socket.create_server(("127.0.0.1", int((shop.state / "postgres" / "port").read_text())))
    again = Up(shop.state, "--no-seed", given=machine)
    assert status_of(f"{again.url()}/healthz") == 200
    assert (shop.state / "env").read_text().count("\n") == env.count("\n")
    taken.close()
    again.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    again.process.send_signal(signal.SIGINT)  # a wrapper passes a Ctrl-C on a second time
    status, said = again.ended()
    assert (status, said.splitlines()[-1]) == (0, "Stopped.")
    assert running_for(shop.state) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_up_that_is_ended_while_it_starts_leaves_nothing(
    state: Path, machine: dict[str, str], number: signal.Signals
) -> None:
    shop = Up(state, "--no-seed", given=machine)
    assert eventually(lambda: "PostgreSQL… OK" in shop.output)
    shop.process.send_signal(number)
    assert shop.ended()[0] == {signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGKILL: -signal.SIGKILL}[number]
    assert eventually(lambda: not running_for(state)), running_for(state)


def test_a_taken_port_is_told_with_its_holder_and_the_flag(state: Path, machine: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, said = Up(state, "--port", str(port), given=machine).ended()
    assert status == 1
    assert re.search(rf"CommandError: port {port} is taken by .*process {os.getpid()}.*: --port \d+", said)
    assert running_for(state) == []
