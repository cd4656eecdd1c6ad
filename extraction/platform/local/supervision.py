"""Processes of a unit under supervisord: started, restarted with backoff, their logs kept, none left behind."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import psutil
from supervisor.xmlrpc import Faults, SupervisorTransport

from extraction.platform.errors import NotRunning, ProcessFailed
from extraction.platform.local import tether

AT_ONCE = 100
"""Processes of this priority and above lean on lower ones only, and are stopped together."""
STARTED = ("STARTING", "RUNNING", "BACKOFF")
LONGEST_SOCKET_PATH = 100
"""Of 103 to 107 that systems allow, with room for the suffix that supervisord adds while it binds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What to run, and how to end it."""

    name: str
    command: tuple[str, ...]
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: int = 15
    """Then it is killed."""
    priority: int = AT_ONCE
    """Low ones start first and end last."""
    user: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Status:
    """What supervisord says of a process: STARTING, RUNNING, BACKOFF, STOPPING, STOPPED, EXITED or FATAL."""

    name: str
    state: str
    pid: int
    """0 when it does not run."""
    since: float
    """Seconds since the epoch."""


class Supervisor:
    """supervisord as a child of this process, its files under one state directory.

    It ends with the thread that called `start`, and its processes end with it, however either ends. Another process
    may `attach` to it meanwhile and add, remove or restart processes.
    """

    def __init__(self, state: Path, *, directory: Path) -> None:
        self.state = state.absolute()
        self.directory = directory.absolute()
        self.run, self.log = self.state / "run", self.state / "log"
        self.socket = _socket_path(self.run)
        self._supervisord: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def attach(self) -> Self:
        """Work on the supervisord that another process runs. Raises NotRunning."""
        try:
            self._pid = self._call("getPID")
        except (ProcessFailed, xmlrpc.client.Error):
            raise NotRunning(f"nothing runs in {self.state}; start it: manage.py up") from None
        return self

    def start(self, *, environment: Mapping[str, str]) -> None:
        """Run supervisord without processes; whatever an earlier one left running is ended first."""
        for folder in (self.run, self.log):
            folder.mkdir(parents=True, exist_ok=True)
        end_leftovers(self.run)
        shutil.rmtree(self._programs, ignore_errors=True)
        self._programs.mkdir(mode=0o700)
        _make_private(self.socket.parent)
        self.socket.unlink(missing_ok=True)
        configuration = self.run / "supervisord.conf"
        configuration.write_text(self._configuration())
        with (self.log / "supervisord.out").open("wb") as output:
            self._supervisord = subprocess.Popen(  # noqa: S603
                [
                    *tethered("supervisord", run=self.run),
                    *(sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "-c", str(configuration)),
                ],
                cwd=self.directory,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._pid = self._supervisord.pid

    def wait(self, *, timeout_s: float = 15) -> None:
        """Return when supervisord takes calls. Raises ProcessFailed."""
        end = time.monotonic() + timeout_s
        while not self._answers():
            if not self.alive() or time.monotonic() > end:
                raise ProcessFailed(f"supervisord does not start; see {self.log}/supervisord.out and supervisord.log")
            time.sleep(0.02)

    def add(self, process: Process) -> None:
        """Start a process, also while others run. One that is there with the same name is replaced."""
        if any(status.name == process.name for status in self.status()):
            self.remove(process.name)
        rest = self._programs / f"{process.name}.json"
        rest.unlink(missing_ok=True)
        rest.touch(mode=0o600)
        rest.write_text(json.dumps({"environment": dict(process.environment), "command": process.command}))
        (self._programs / f"{process.name}.conf").write_text(self._program(process, rest))
        self._call("reloadConfig")
        self._call("addProcessGroup", process.name)

    def remove(self, name: str) -> None:
        """Stop a process and forget it, if it is there."""
        self.stop_processes([name])
        if any(status.name == name for status in self.status()):
            self._call("removeProcessGroup", name)
        for suffix in ("conf", "json"):
            (self._programs / f"{name}.{suffix}").unlink(missing_ok=True)
        self._call("reloadConfig")

    def restart(self, name: str) -> None:
        """Stop a process gracefully and start it again."""
        self.stop_processes([name])
        self._call("startProcess", name, False)

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash would; it is started again."""
        if pid := self.pids().get(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def status(self) -> list[Status]:
        """Every process, in the order in which they start."""
        return [
            Status(name=info["name"], state=info["statename"], pid=info["pid"], since=float(info["start"]))
            for info in self._call("getAllProcessInfo")
        ]

    def pids(self) -> dict[str, int]:
        """The processes that run, by name."""
        return {status.name: status.pid for status in self.status() if status.pid}

    def stop_processes(self, names: Iterable[str]) -> None:
        """Stop these at the same time, gracefully; one that ends whenever it is started is started no more."""
        wanted = set(names)
        for status in self.status():
            if status.name in wanted and status.state in STARTED:
                with suppress(xmlrpc.client.Fault):  # it ended by itself meanwhile
                    self._call("stopProcess", status.name, False)
        while any(status.name in wanted and status.state in (*STARTED, "STOPPING") for status in self.status()):
            time.sleep(0.02)

    def alive(self) -> bool:
        """Whether supervisord itself runs."""
        return self._supervisord is not None and self._supervisord.poll() is None

    def check(self, name: str) -> None:
        """Raise ProcessFailed, with the end of its log, if this process ended by itself or the supervisor did."""
        state = next((status.state for status in self.status() if status.name == name), "missing")
        if state in ("BACKOFF", "EXITED", "FATAL", "missing"):
            raise ProcessFailed(f"{name} does not run ({state}). The end of {self.log}/{name}.log:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        """The end of the log of a process."""
        try:
            with (self.log / f"{name}.log").open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
                return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(empty)"

    def stop(self) -> None:
        """End all processes, the low priorities last, then supervisord; and what it left if it was killed."""
        if self._supervisord is None:
            return
        if self.alive():
            with suppress(ProcessFailed, xmlrpc.client.Error):
                self.stop_processes(self._all_at_once())
            self._supervisord.terminate()
        while self.alive():
            self._answers()  # it looks around once a second, and whenever it is asked
            time.sleep(0.02)
        end_leftovers(self.run)
        self.socket.unlink(missing_ok=True)
        if self.socket.parent != self.run:
            self.socket.parent.rmdir()
        self._supervisord = None

    @property
    def _programs(self) -> Path:
        return self.run / "processes"

    def _all_at_once(self) -> list[str]:
        """The processes that nothing leans on; supervisord alone would stop them one after another."""
        return [info["name"] for info in self._call("getAllConfigInfo") if info["group_prio"] >= AT_ONCE]

    def _answers(self) -> bool:
        try:
            self._call("getState")
        except (ProcessFailed, xmlrpc.client.Error):
            return False
        return True

    def _call(self, method: str, *arguments: Any) -> Any:
        # One connection a call: a proxy is not made for threads.
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        with xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport) as proxy:
            try:
                return getattr(proxy.supervisor, method)(*arguments)
            except (OSError, xmlrpc.client.Fault) as error:
                if isinstance(error, xmlrpc.client.Fault) and error.faultCode != Faults.SHUTDOWN_STATE:
                    raise
                raise ProcessFailed(
                    f"the supervisor ended; see {self.log}/supervisord.log, then start again"
                ) from error

    def _configuration(self) -> str:
        run_as = "user = root" if os.geteuid() == 0 else ""
        return _escaped(f"""\
[supervisord]
nodaemon = true
{run_as}
logfile = {self.log}/supervisord.log
logfile_maxbytes = 5MB
logfile_backups = 1
pidfile = {self.run}/supervisord.own.pid
[unix_http_server]
file = {self.socket}
chmod = 0600
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = {self._programs}/*.conf
""")

    def _program(self, process: Process, rest: Path) -> str:
        """What supervisord reads; it cuts values at ; and #, so environment and command stand in another file."""
        tether = tethered(
            process.name,
            run=self.run,
            sends=process.stop_signal,
            user=process.user,
            parent=self._pid,
        )
        return _escaped(f"""\
[program:{process.name}]
command = {shlex.join([*tether, "--rest", str(rest)])}
directory = {self.directory}
priority = {process.priority}
stopsignal = {process.stop_signal.name.removeprefix("SIG")}
stopwaitsecs = {process.stop_within_s}
killasgroup = true
startsecs = 1
startretries = 20
stdout_logfile = {self.log}/{process.name}.log
stdout_logfile_maxbytes = 10MB
stdout_logfile_backups = 3
redirect_stderr = true
""")


def tethered(
    name: str,
    *,
    run: Path,
    sends: signal.Signals = signal.SIGTERM,
    user: str | None = None,
    parent: int | None = None,
) -> tuple[str, ...]:
    """What to put before a command so that it gets this signal when its parent ends, and its pid is on record.

    The parent is this process unless said otherwise.
    """
    return (
        *(sys.executable, "-I", "-S", tether.__file__, "--signal", str(int(sends))),
        *("--parent", str(parent or os.getpid())),
        *("--pid-file", str(run / f"{name}.pid")),
        *(("--user", user) if user else ()),
    )


def end_leftovers(run: Path, *, within_s: float = 10) -> list[str]:
    """End the processes on record that still run, gently, then for good. Returns their names."""
    left = {file.stem: process for file in sorted(run.glob("*.pid")) if (process := _recorded(file)) is not None}
    for process in left.values():
        _signal(process, _gentle(process))
    _, stubborn = psutil.wait_procs(left.values(), timeout=within_s)
    for process in stubborn:
        for victim in (*process.children(recursive=True), process):
            _signal(victim, signal.SIGKILL)
    psutil.wait_procs(stubborn, timeout=5)
    for file in run.glob("*.pid"):
        file.unlink(missing_ok=True)
    return list(left)


def _recorded(file: Path) -> psutil.Process | None:
    """The process of a pid file, unless it ended and its pid is somebody else's now."""
    try:
        pid, started = map(int, file.read_text().split())
        process = psutil.Process(pid)
        if started and tether.start_time(pid) != started:
            return None
        # Without /proc: the file is written as the process starts.
        if not started and abs(process.create_time() - file.stat().st_mtime) > 5:
            return None
    except (ValueError, OSError, psutil.Error):
        return None
    return process if process.is_running() and process.status() != psutil.STATUS_ZOMBIE else None


def _gentle(process: psutil.Process) -> signal.Signals:
    """The signal that ends it soon and clean: to PostgreSQL SIGTERM means to wait for its clients."""
    return signal.SIGINT if process.name() == "postgres" else signal.SIGTERM


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)


def _socket_path(run: Path) -> Path:
    """Where supervisord listens: in the state directory, or in a short folder of its own if that path is too long."""
    path = run / "supervisor.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    return Path(tempfile.gettempdir()) / f"platform-{sha256(os.fsencode(run)).hexdigest()[:16]}" / path.name


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise ProcessFailed(f"{folder} belongs to somebody else; remove it, or set SHOP_STATE_DIR to a shorter path")


def _escaped(configuration: str) -> str:
    return configuration.replace("%", "%%")
