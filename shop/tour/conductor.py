"""A tour from beginning to end: start, load, the migration there and back and there, rest, audit, comparison, report.

The shop's state is its own, var/tour, made anew each time: a tour works on an empty checkout and leaves alone what
`manage.py up` keeps. What it leaves is var/report, and var/tour with the logs until the next tour.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import httpx2
import msgspec
from django.conf import settings

from extraction.deploys.records import Deploy
from extraction.platform.errors import PlatformError
from extraction.platform.local.lock import locked
from extraction.platform.local.supervision import end_leftovers
from shop.audit import AuditReport
from shop.platform import Shop
from shop.tour import census, children
from shop.tour.census import ShownOrder, Visitor, facts_in, stock_in, write_orders
from shop.tour.display import Display
from shop.tour.journeys import NEW_PASSWORD
from shop.tour.ledger import compare, entries_in
from shop.tour.load import LEDGER, REQUESTS
from shop.tour.loading import LOAD_LOG, Loading
from shop.tour.memory import MEMORY, MemoryWatch, write_memory
from shop.tour.moves import StageRecord
from shop.tour.page import PAGE, write_page
from shop.tour.report import REPORT, Findings, Report, report_of, write_report
from shop.tour.samples import samples_in
from shop.tour.stages import Stage, stages_of

COMMANDS_LOG = "commands.log"
"""What the programs said that worked on the shop."""
QUIET_BEFORE = 4 / 7
"""Of the quiet time; the rest is after the cutover."""


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


class LoadEnded(RuntimeError):
    """The load ended before it was told to: nothing that comes now would be measured."""


@dataclass
class Tour:
    """One tour. `run` writes the report whatever happens, and leaves the shop to its caller."""

    state: Path
    port: int
    display: Display
    report_dir: Path
    module: str
    quiet_s: float
    """Of load and nothing else, before the migration and after it in all."""
    rate: float
    seed: int
    deploys: int = 3
    """Rolling deploys before the module leaves, and again after."""
    hold_s: float = 3.0
    """How long each share of the reads is watched."""
    rest_within_s: float = 75.0
    """How long orders may take to come to rest after the load."""
    audit_wait_s: float = 30.0
    """How long the audit takes a difference for work in flight."""
    given: Mapping[str, str] | None = None
    """The shop's environment, by default this process's."""
    shop: Shop = field(init=False)
    findings: Findings = field(init=False)
    seen: dict[UUID, ShownOrder | None] | None = field(init=False, default=None)
    accounts: dict[str, UUID | None] = field(init=False, default_factory=dict)
    stages: dict[str, Stage] = field(init=False)
    loading: Loading = field(init=False)

    def __post_init__(self) -> None:
        self.findings = Findings(rate=self.rate, seed=self.seed, module=self.module)
        self.stages = stages_of(self.module, deploys=self.deploys)
        self.loading = Loading(out=self.report_dir, tell=self.display.progress)
        self.report_dir.mkdir(parents=True, exist_ok=True)
        made = (REPORT, PAGE, LEDGER, REQUESTS, census.FACTS, census.ORDERS, census.STOCK, census.STOCK_BEFORE)
        for name in (*made, MEMORY, LOAD_LOG, COMMANDS_LOG):
            (self.report_dir / name).unlink(missing_ok=True)

    @property
    def page(self) -> Path:
        return self.report_dir / PAGE

    def run(self, stack: ExitStack) -> Report:
        """Take the tour; the shop is entered on `stack`, so that the caller says when it ends."""
        try:
            self._start(stack)
            watch = MemoryWatch(self.shop.processes)
            try:
                self.findings.load_began_at = self.loading.start(self.shop.url, rate=self.rate, seed=self.seed)
                watch.start()
                self._while_customers_buy()
                self._take("end_load", self._end_load)
            finally:
                self.loading.end()
                watch.stop()
                self._keep_load(watch)
            for key, do in (("rest", self._rest), ("audit", self._audit), ("compare", self._compare)):
                self._take(key, do)
        except (KeyboardInterrupt, SystemExit):  # Ctrl-C, or a signal that asks to end
            self.findings.interrupted = True
        return self._write()

    def _start(self, stack: ExitStack) -> None:
        with self._recorded("start"):
            fresh(self.state)
            self.shop = stack.enter_context(
                Shop(self.state, port=self.port, step=self.display.step, given=_without_servers(self.given))
            )
            with self.display.step("Workers"):
                self.shop.wait_for_workers()
            self.findings.start_up_s = round((datetime.now(UTC) - self.findings.started_at).total_seconds(), 1)
            with self.display.step("Stock before the load"):
                self._child("-m", "shop.tour.census", "--out", str(self.report_dir), "--before")

    def _while_customers_buy(self) -> None:
        """The stages under load, until one fails: the next would only be refused."""
        before, after = self.findings.deploys_before, self.findings.deploys_after
        quiet_before_s, quiet_after_s = self.quiet_s * QUIET_BEFORE, self.quiet_s * (1 - QUIET_BEFORE)
        stages: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("quiet_before", lambda: self._wait(quiet_before_s)),
            ("deploys_before", lambda: self._deploy(settings.ORIGIN_UNIT, before)),
            ("provision", lambda: self._extract("provision")),
            ("replicate", lambda: self._extract("replicate")),
            ("verify", lambda: self._extract("verify")),
            ("ramp", lambda: self._extract("ramp", "--hold-s", f"{self.hold_s:g}")),
            ("cutover", lambda: self._extract("cutover")),
            ("quiet_after", lambda: self._wait(quiet_after_s)),
            ("deploys_after", lambda: self._deploy(self.module, after)),
            ("rollback", lambda: self._extract("rollback")),
            ("second_cutover", lambda: self._extract("cutover")),
        )
        for key, do in stages:
            if key not in self.stages:
                continue
            if not (self.loading.is_running and self._take(key, do)):
                return

    def _take(self, key: str, do: Callable[[], Any]) -> bool:
        """A stage that may go wrong: what did goes into the report. Whether it was done."""
        try:
            with self._recorded(key) as evidence:
                evidence |= do() or {}
        except (
            *(OSError, RuntimeError, ValueError, LookupError, PlatformError),
            *(httpx2.HTTPError, subprocess.SubprocessError, msgspec.MsgspecError),
        ) as error:
            self.findings.troubles.append(f"{self.stages[key].title}: {error}")
            return False
        return True

    @contextmanager
    def _recorded(self, key: str) -> Iterator[dict[str, Any]]:
        """Around a stage: the display shows it, the findings keep when it was and what it yields as evidence."""
        stage = self.stages[key]
        evidence: dict[str, Any] = {}
        with self.display.stage(stage):
            began_at = datetime.now(UTC)
            outcome: Literal["done", "failed", "interrupted"] = "failed"
            try:
                yield evidence
                outcome = "done"
            except (KeyboardInterrupt, SystemExit):
                outcome = "interrupted"
                raise
            finally:
                self.findings.stages.append(
                    StageRecord(
                        key=key,
                        title=stage.title,
                        began_at=began_at,
                        ended_at=datetime.now(UTC),
                        outcome=outcome,
                        evidence=evidence,
                    )
                )

    def _wait(self, seconds: float) -> None:
        """Let customers buy, and do nothing else. Raises LoadEnded."""
        end = time.monotonic() + seconds
        while (left_s := end - time.monotonic()) > 0:
            if not self.loading.is_running:
                raise LoadEnded("no customer is left")
            time.sleep(min(0.2, left_s))

    def _deploy(self, unit: str, done: list[Deploy]) -> None:
        for number in range(1, self.deploys + 1):
            with self.display.step(f"Deploy {number} of {self.deploys}"):
                deploy = self.shop.deploy(unit, tell=self.display.said)
            done.append(deploy)
            if deploy.outcome == "failed":
                raise RuntimeError(f"release {deploy.release} of {unit} did not start: {deploy.reason}")

    def _extract(self, stage: str, *options: str) -> dict[str, Any]:
        """One command of the migration, as anybody would type it. Returns its evidence."""
        answer = self._child("manage.py", "extract", stage, self.module, "--json", *options)
        evidence: dict[str, Any] = msgspec.json.decode(answer, type=dict[str, Any])
        return evidence

    def _end_load(self) -> None:
        self.loading.end()

    def _keep_load(self, watch: MemoryWatch) -> None:
        self.findings.load_s = self.loading.load_s
        self.findings.memory = watch.samples
        write_memory(self.report_dir / MEMORY, watch.samples)
        if self.loading.trouble:
            self.findings.troubles.append(self.loading.trouble)
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
        registered = [entry.customer for entry in entries if entry.is_account and entry.acknowledged]
        self.accounts = visitor.accounts(dict.fromkeys(registered, NEW_PASSWORD))
        visitor.close()
        self.seen = seen
        self.findings.seen = list(seen.values())
        write_orders(self.report_dir / census.ORDERS, seen.values())

    def _audit(self) -> dict[str, Any]:
        """Check the invariants as anybody can: with `manage.py audit`, in each unit, for each sees its own events."""
        placement = msgspec.json.decode(self._child("manage.py", "extract", "status", self.module, "--json"))
        self.findings.home, self.findings.epoch = str(placement["home"]), placement.get("epoch")
        units = dict.fromkeys((settings.ORIGIN_UNIT, self.findings.home))
        wait = ("--wait", str(self.audit_wait_s))
        reports = [
            msgspec.json.decode(
                self._child("manage.py", "audit", "--json", *wait, is_ok=(0, 1), unit=unit), type=AuditReport
            )
            for unit in units
        ]
        covered = {module for report in reports for module in report.events_of}
        if missing := sorted(set(settings.ALL_MODULES) - covered):
            self.findings.troubles.append(f"no audit looked at the events of {', '.join(missing)}")
        self.findings.invariants = {
            name: all(report.invariants[name] for report in reports) for name in reports[0].invariants
        }
        self.findings.differences = tuple(
            dict.fromkeys(str(difference) for report in reports for difference in report.differences)
        )
        return {"status": placement, "audited_in": list(units)}

    def _compare(self) -> None:
        """Read the ledger back from its file and compare it with what the shop holds."""
        if self.seen is None:
            raise RuntimeError("nobody looked at the orders")
        out = self.report_dir
        self.findings.server_version = self._child("-m", "shop.tour.census", "--out", str(out)).decode().strip()
        self.findings.comparison = compare(
            entries_in(out / LEDGER),
            facts=facts_in(out / census.FACTS),
            seen=self.seen,
            stock_before=stock_in(out / census.STOCK_BEFORE),
            stock_after=stock_in(out / census.STOCK),
            accounts=self.accounts,
        )

    def _child(self, *command: str, is_ok: tuple[int, ...] = (0,), unit: str = "") -> bytes:
        """Standard output of a Python program in the environment of the shop, or of a unit. Raises ChildFailed."""
        environment = self.shop.environment_of(unit) if unit else self.shop.environment
        log = self.report_dir / COMMANDS_LOG
        return children.run(*command, environment=environment, log=log, tell=self.display.said, is_ok=is_ok)

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
