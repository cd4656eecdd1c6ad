import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from extraction.platform.errors import AlreadyRunning, ProcessFailed
from extraction.platform.local import tether
from extraction.platform.local.lock import locked
from extraction.platform.local.supervision import Process, Supervisor, end_leftovers, tethered
from tests.platform.conftest import eventually, running_for

SLEEPER = Process(name="sleeper", command=("sleep", "1000"))


@pytest.fixture
def supervisor(state: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(state / "tmp", directory=state)
    supervisor.start(environment=os.environ | {"SHOP_STATE_DIR": str(state)})
    supervisor.wait()
    yield supervisor
    supervisor.stop()


def test_a_process_can_be_added_and_removed_while_others_run(supervisor: Supervisor) -> None:
    supervisor.add(SLEEPER)
    pid = supervisor.pids()["sleeper"]
    supervisor.add(Process(name="second", command=("sleep", "1000")))
    assert set(supervisor.pids()) == {"sleeper", "second"}
    supervisor.remove("second")
    assert supervisor.pids() == {"sleeper": pid}


def test_a_killed_process_is_started_again(supervisor: Supervisor) -> None:
    supervisor.add(SLEEPER)
    before = supervisor.pids()["sleeper"]
    assert eventually(lambda: supervisor.status()[0].state == "RUNNING")
    supervisor.kill("sleeper")
    assert eventually(lambda: supervisor.pids().get("sleeper", before) != before)


def test_a_process_that_cannot_run_is_told_with_the_end_of_its_log(supervisor: Supervisor) -> None:
    supervisor.add(Process(name="broken", command=("sh", "-c", "echo 100% out of luck; exit 3")))
    assert eventually(lambda: supervisor.status()[0].state == "BACKOFF")
    with pytest.raises(ProcessFailed, match=r"broken does not run \(BACKOFF\)(?s:.*)100% out of luck"):
        supervisor.check("broken")


def test_a_process_gets_its_environment(supervisor: Supervisor) -> None:
    odd = """a "quoted", 100% 'odd' value; \\ and #"""
    supervisor.add(Process(name="odd", command=("sh", "-c", 'echo "$ODD"; exec sleep 9'), environment={"ODD": odd}))
    assert eventually(lambda: supervisor.tail("odd") not in ("", "(empty)"))
    assert supervisor.tail("odd") == odd


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends children on Linux only; elsewhere the next start")
@pytest.mark.parametrize("moment", ["while a process starts", "while it runs"])
def test_nothing_outlives_a_killed_supervisor(supervisor: Supervisor, state: Path, moment: str) -> None:
    supervisor.add(SLEEPER)
    assert eventually(lambda: "sleeper" in supervisor.pids())
    if moment == "while it runs":
        assert eventually(lambda: psutil.Process(supervisor.pids()["sleeper"]).name() == "sleep")
    os.kill(int((supervisor.run / "supervisord.pid").read_text().split()[0]), signal.SIGKILL)
    assert eventually(lambda: not running_for(state), within_s=3), running_for(state)
    assert eventually(lambda: not supervisor.alive())
    with pytest.raises(ProcessFailed, match="the supervisor ended"):
        supervisor.check("sleeper")


def test_what_ignores_a_gentle_end_is_killed(supervisor: Supervisor, state: Path) -> None:
    deaf = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    supervisor.add(Process(name="deaf", command=("sh", "-c", deaf), stop_within_s=1))
    assert eventually(lambda: "ready" in supervisor.tail("deaf"))
    supervisor.stop()
    assert running_for(state) == []


def test_a_path_too_long_for_a_socket_is_no_hindrance(state: Path) -> None:
    supervisor = Supervisor(state / ("long" * 30), directory=state)
    supervisor.start(environment=os.environ)
    supervisor.wait()
    supervisor.add(SLEEPER)
    assert "sleeper" in supervisor.pids()
    supervisor.stop()
    assert supervisor.socket.parent != supervisor.run
    assert not supervisor.socket.parent.exists()


def test_a_leftover_on_record_is_ended(state: Path) -> None:
    run = state / "left"
    run.mkdir()
    left = subprocess.Popen([*tethered("left", run=run), "sleep", "1000"])
    assert eventually((run / "left.pid").exists)
    assert end_leftovers(run) == ["left"]
    assert not psutil.pid_exists(left.pid)
    assert list(run.iterdir()) == []


def test_a_leftover_that_ignores_a_gentle_end_is_killed(state: Path) -> None:
    run = state / "stubborn"
    run.mkdir()
    stubborn = subprocess.Popen(
        [*tethered("stubborn", run=run), "sh", "-c", "trap '' TERM; sleep 1000 & echo; wait"], stdout=subprocess.PIPE
    )
    assert stubborn.stdout is not None
    stubborn.stdout.readline()
    child = psutil.Process(stubborn.pid).children()[0]
    assert end_leftovers(run, within_s=0.3) == ["stubborn"]
    assert not psutil.pid_exists(stubborn.pid)
    assert eventually(lambda: not child.is_running())


def test_a_stale_pid_file_ends_nobody(state: Path) -> None:
    run = state / "stale"
    run.mkdir()
    innocent = subprocess.Popen(["sleep", "1000"])
    (run / "reused.pid").write_text(f"{innocent.pid} {tether.start_time(innocent.pid) - 1}\n")
    (run / "gone.pid").write_text("4194000 1\n")
    (run / "torn.pid").write_text("12")
    assert end_leftovers(run) == []
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


def test_a_second_holder_of_a_state_directory_is_told_who_holds_it(state: Path) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""\
                import time
                from pathlib import Path
                from extraction.platform.local.lock import locked
                with locked(Path({str(state)!r})):
                    print("held", flush=True)
                    time.sleep(1000)
            """),
        ],
        stdout=subprocess.PIPE,
        cwd=Path(tether.__file__).parents[3],
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(AlreadyRunning, match=f"in use by process {holder.pid}.*kill {holder.pid}"), locked(state):
        pass
    holder.kill()
    holder.wait()
    with locked(state):  # whoever was killed holds nothing
        assert psutil.pid_exists(os.getpid())
