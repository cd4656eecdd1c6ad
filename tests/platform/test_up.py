"""`manage.py up` for real. The tests of a module-scoped shop come first; those that end one follow."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from shop.machine import status_of
from tests.platform.conftest import Up, eventually, running_for

pytestmark = pytest.mark.timeout(90)


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


def test_only_units_reach_each_others_calls(shop: Up) -> None:
    edge = shop.url()
    units = re.search(r"UNITS_URL='(\S+)'", (shop.state / "env").read_text())
    assert units
    assert status_of(f"{edge}/internal/contracts/inventory/quote") == 404
    assert status_of(f"{units[1]}/inventory/internal/contracts/inventory/quote") == 405  # a GET: it is there


def test_an_answer_says_which_release_gave_it(shop: Up) -> None:
    with urllib.request.urlopen(f"{shop.url()}/healthz") as response:
        assert response.headers["X-Served-By"] == "monolith/r1"


def test_the_log_has_the_address_that_the_edge_saw_not_what_the_client_says(shop: Up) -> None:
    request = urllib.request.Request(f"{shop.url()}/forged", headers={"X-Forwarded-For": "203.0.113.9"})
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request)

    def lines() -> list[str]:
        return [line for line in (shop.state / "log" / "web.log").read_text().splitlines() if "GET /forged" in line]

    assert eventually(lines)
    assert not any("203.0.113.9" in line for line in lines()), lines()


def test_a_second_up_says_who_holds_the_state_and_stops(shop: Up, machine: dict[str, str]) -> None:
    shop.url()
    status, said = Up(shop.state, given=machine).ended()
    assert status == 1
    assert f"in use by process {shop.process.pid}; end that (Ctrl-C there, or: kill {shop.process.pid})" in said
    assert status_of(f"{shop.url()}/healthz") == 200


@pytest.mark.parametrize("name", ["envoy", "web", "worker", "errands", "postgres"])
def test_what_is_killed_is_started_again_and_its_children_do_not_go_on(shop: Up, name: str) -> None:
    url = shop.url()
    before = shop.pid(name)
    children = psutil.Process(before).children(recursive=True)
    assert children or name in ("envoy", "errands")  # which have threads
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
    assert eventually(lambda: "PostgreSQL… OK" in shop.output, within_s=60)
    shop.process.send_signal(number)
    assert shop.ended()[0] == {signal.SIGTERM: 128 + signal.SIGTERM, signal.SIGKILL: -signal.SIGKILL}[number]
    assert eventually(lambda: not running_for(state), within_s=60), running_for(state)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--port", "99999"), r"99999 is no port; .* --port 0"),
        (("--host", "203.0.113.7"), r"'203.0.113.7' is not an address of this machine; .* --host 127.0.0.1"),
        (("--host", "no.such.host.invalid"), r"'no.such.host.invalid' is none: .* --host 127.0.0.1"),
        (("--workers", "0"), r"0 web processes serve nobody; start at least one: --workers 1"),
    ],
)
def test_an_option_that_cannot_be_is_told(
    state: Path, machine: dict[str, str], options: tuple[str, ...], said: str
) -> None:
    status, output = Up(state, *options, given=machine).ended()
    assert status == 1
    assert re.search(f"CommandError: {said}", output), output


def test_a_taken_port_is_told_with_its_holder_and_the_flag(state: Path, machine: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, said = Up(state, "--port", str(port), given=machine).ended()
    assert status == 1
    assert re.search(rf"CommandError: port {port} is taken by .*process {os.getpid()}.*: --port \d+", said)
    assert running_for(state) == []
