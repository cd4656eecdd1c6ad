"""A tour from beginning to end: start, load, rest, audit, comparison, report.

The shop's state is its own, var/tour, made anew each time: a tour works on an empty checkout and leaves alone what
`manage.py up` keeps. What it leaves is var/report, and var/tour with the logs until the next tour.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import httpx2
import msgspec
from django.conf import settings

from extraction.platform.local.lock import locked
from extraction.platform.local.supervision import end_leftovers
from shop.audit import AuditReport
from shop.platform import Shop
from shop.tour import census
from shop.tour.census import ShownOrder, Visitor, facts_in, write_orders
from shop.tour.display import Display
from shop.tour.ledger import compare, entries_in
from shop.tour.load import LEDGER, REQUESTS, TIMEOUT_S, Progress
from shop.tour.memory import MemoryWatch
from shop.tour.page import PAGE, write_page
from shop.tour.report import REPORT, Findings, Report, report_of, write_report
from shop.tour.samples import samples_in

START, BUY, REST, AUDIT, COMPARE = STAGES = (
    "start the shop from nothing",
    "customers buy",
    "orders come to rest",
    "audit the invariants",
    "compare the ledger with the shop",
)
LOAD_LOG = "load.log"


def fresh(state: Path) -> None:
    """Remove what an earlier tour left in its state directory. Raises AlreadyRunning while one is there."""
    with locked(state):
        end_leftovers(state / "run")
        for path in state.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


@dataclass
class Tour:
    """One tour of `seconds` of load. `run` writes the report whatever happens, and leaves the shop to its caller."""

    state: Path
    port: int
    display: Display
    report_dir: Path
    seconds: float
    rate: float
    seed: int
    rest_within_s: float = 75.0
    """How long orders may take to come to rest after the load."""
    audit_wait_s: float = 30.0
    """How long the audit takes a difference for work in flight."""
    given: Mapping[str, str] | None = None
    """The shop's environment, by default this process's."""
    shop: Shop = field(init=False)
    findings: Findings = field(init=False)
    seen: dict[UUID, ShownOrder | None] | None = field(init=False, default=None)
    _loading: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.findings = Findings(rate=self.rate, seed=self.seed)
        self.report_dir.mkdir(parents=True, exist_ok=True)
        for name in (REPORT, PAGE, LEDGER, REQUESTS, census.FACTS, census.ORDERS, LOAD_LOG):
            (self.report_dir / name).unlink(missing_ok=True)

    @property
    def page(self) -> Path:
        return self.report_dir / PAGE

    def run(self, stack: ExitStack) -> Report:
        """Take the tour; the shop is entered on `stack`, so that the caller says when it ends."""
        try:
            with self.display.stage(START):
                fresh(self.state)
                self.shop = stack.enter_context(
                    Shop(self.state, port=self.port, step=self.display.step, given=_without_servers(self.given))
                )
                with self.display.step("Workers"):
                    self.shop.wait_for_workers()
                self.findings.start_up_s = round((datetime.now(UTC) - self.findings.started_at).total_seconds(), 1)
            with self._stage(BUY):
                self._load()
            with self._stage(REST):
                self._rest()
            with self._stage(AUDIT):
                self._audit()
            with self._stage(COMPARE):
                self._compare()
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or a signal that asks to end
            self.findings.interrupted = True
        return self._write()

    def end_load(self) -> None:
        """End the load before its time: no new requests, those under way are waited for."""
        if self._loading is not None:
            self._loading.terminate()

    def _load(self) -> None:
        """Run the load in its own process and show its progress; an interrupt stops it gently first."""
        watch = MemoryWatch(self.shop.processes)
        self.findings.load_began_at = datetime.now(UTC)
        began = time.monotonic()
        log = self.report_dir / LOAD_LOG
        with log.open("wb") as errors:
            self._loading = process = subprocess.Popen(  # noqa: S603
                [
                    *(sys.executable, "-m", "shop.tour.load", "--url", self.shop.url, "--out", str(self.report_dir)),
                    *("--rate", str(self.rate), "--seconds", str(self.seconds), "--seed", str(self.seed)),
                ],
                cwd=settings.BASE_DIR,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # so that Ctrl-C reaches it through here, once
            )
        watch.start()
        try:
            self._show(process)
        except (KeyboardInterrupt, SystemExit):
            self.end_load()
            self._show(process)
            raise
        finally:
            watch.stop()
            self.findings.load_s = min(time.monotonic() - began, self.seconds)
            self.findings.memory = watch.samples
            if process.poll() is None:
                process.kill()
                process.wait()
            self._read_load(process.returncode, log)

    def _show(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.display.progress(msgspec.json.decode(line, type=Progress))
        process.wait(timeout=2 * TIMEOUT_S)

    def _read_load(self, status: int, log: Path) -> None:
        if status:
            last = log.read_text(errors="replace").strip().rpartition("\n")[2]
            self.findings.troubles.append(f"the load ended with status {status}: {last or 'it said nothing'}")
        if (requests := self.report_dir / REQUESTS).exists():
            self.findings.samples = samples_in(requests)

    def _rest(self) -> None:
        """Wait until no acknowledged order is pending; keep what HTTP shows of each."""
        entries = entries_in(self.report_dir / LEDGER)
        order_ids = list(dict.fromkeys(entry.order_id for entry in entries if entry.order_id is not None))
        visitor = Visitor(self.shop.url)
        seen = visitor.settled(
            order_ids,
            wait_s=self.rest_within_s,
            tell=lambda settled, of: self.display.detail(f"{settled} of {of} orders are confirmed or cancelled"),
        )
        visitor.close()
        self.seen = seen
        self.findings.seen = list(seen.values())
        write_orders(self.report_dir / census.ORDERS, seen.values())

    def _audit(self) -> None:
        """Check the invariants as anybody can: with `manage.py audit`."""
        answer = self._child(["manage.py", "audit", "--json", "--wait", str(self.audit_wait_s)], is_ok=(0, 1))
        report = msgspec.json.decode(answer, type=AuditReport)
        self.findings.invariants = report.invariants
        self.findings.differences = tuple(map(str, report.differences))

    def _compare(self) -> None:
        """Read the ledger back from its file and compare it with what the shop holds."""
        if self.seen is None:
            raise RuntimeError("nobody looked at the orders")
        self.findings.server_version = (
            self._child(["-m", "shop.tour.census", "--out", str(self.report_dir)]).decode().strip()
        )
        self.findings.comparison = compare(
            entries_in(self.report_dir / LEDGER), facts=facts_in(self.report_dir / census.FACTS), seen=self.seen
        )

    def _child(self, command: list[str], *, is_ok: tuple[int, ...] = (0,)) -> bytes:
        """Standard output of a Python child in the shop's environment. Raises RuntimeError."""
        done = subprocess.run(  # noqa: S603
            [sys.executable, *command], cwd=settings.BASE_DIR, env=self.shop.environment, capture_output=True
        )
        if done.returncode not in is_ok or (done.returncode and not done.stdout):
            last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise RuntimeError(f"{' '.join(command[:2])} ended with status {done.returncode}: {last}")
        return done.stdout

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """A stage that may go wrong: what did goes into the report, and the next stage has its try."""
        try:
            with self.display.stage(name):
                yield
        except (OSError, RuntimeError, ValueError, LookupError, httpx2.HTTPError, subprocess.SubprocessError) as error:
            self.findings.troubles.append(f"{name}: {type(error).__name__}: {error}")

    def _write(self) -> Report:
        report = report_of(self.findings)
        write_report(report, self.report_dir)
        write_page(report, self.findings, self.report_dir)
        return report


def _without_servers(given: Mapping[str, str] | None) -> dict[str, str]:
    """The environment without its servers: a tour never writes into a real shop."""
    known = settings.GIVEN if given is None else given
    return {
        name: value
        for name, value in known.items()
        if name not in ("DATABASE_URL", "BROKER_URL") and not name.endswith("_DATABASE_URL")
    }
