"""Workers, web server, edge and database are killed in turn while customers buy; nothing is lost or doubled.

`CHAOS_ROUNDS=20 uv run pytest tests/chaos/test_kills.py` for the full figure; a round kills each once.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest
from django.core.management.base import OutputWrapper

from extraction.platform.local.tether import start_time
from shop.tour.conductor import Tour
from shop.tour.display import PlainDisplay
from shop.tour.report import Report
from tests.embedded import unembedded
from tests.platform.conftest import running_for

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
VICTIMS = ("worker", "errands", "web", "envoy", "postgres")
BUY_S = 1.5
"""Customers buy for so long between one recovery and the next kill."""
RECOVER_WITHIN_S = 90.0
RATE = 20.0
POOL_AND_BEAT = 3
"""Children of a worker that works."""


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory. Not a tmp_path: PostgreSQL runs as another user, who may not look into those."""
    directory = Path(tempfile.mkdtemp(prefix="shop-chaos-"))
    yield directory
    shutil.rmtree(directory)


@dataclass
class KillingTour(Tour):
    """Kills each victim in turn, `rounds` times, as soon as the shop has recovered from the last; nothing migrates."""

    rounds: int = ROUNDS
    killed: list[str] = field(default_factory=list)
    recovered_s: list[float] = field(default_factory=list)
    gave_up: str = ""

    def _while_customers_buy(self) -> None:
        for victim in VICTIMS * self.rounds:
            time.sleep(BUY_S)
            began = time.monotonic()
            old = psutil.Process(self.pid_of(victim))
            family = [old, *old.children(recursive=True)]
            old.kill()
            self.killed.append(victim)
            while not (self.is_gone(family) and self.is_ready(victim)):
                if time.monotonic() - began > RECOVER_WITHIN_S:
                    self.gave_up = f"{victim} did not come back within {RECOVER_WITHIN_S:g} s"
                    return
                time.sleep(0.1)
            self.recovered_s.append(time.monotonic() - began)

    def pid_of(self, name: str) -> int:
        """The process that runs under this name, 0 between two."""
        try:
            pid, started = map(int, (self.state / "run" / f"{name}.pid").read_text().split())
        except (OSError, ValueError):
            return 0
        return pid if start_time(pid) == started else 0

    def is_gone(self, family: list[psutil.Process]) -> bool:
        """What a killed process leaves behind can answer in its place for a while."""
        return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)

    def is_ready(self, victim: str) -> bool:
        try:
            pid = self.pid_of(victim)
            if pid == 0 or (victim == "worker" and len(psutil.Process(pid).children()) < POOL_AND_BEAT):
                return False
        except psutil.Error:
            return False
        return self.answers()

    def answers(self) -> bool:
        try:
            return httpx2.get(f"{self.shop.url}/healthz", timeout=2, trust_env=False).status_code == 200
        except httpx2.HTTPError:
            return False


@pytest.mark.slow
@pytest.mark.timeout(240 + 60 * ROUNDS)
def test_nothing_is_lost_or_doubled_when_workers_web_database_and_edge_are_killed_in_turn(
    state: Path,
) -> None:
    tour = KillingTour(
        state=state / "tour",
        port=0,
        display=PlainDisplay(OutputWrapper(sys.stdout)),
        report_dir=state / "report",
        module="inventory",
        quiet_s=0,
        rate=RATE,
        seed=1,
        rest_within_s=180,
        audit_wait_s=90,
        given=unembedded() | {"ORDER_EXPIRES_S": "30"},
    )
    with ExitStack() as stack:
        report = tour.run(stack)
    print(figures(report, tour))
    assert tour.gave_up == ""
    assert tour.killed == list(VICTIMS * ROUNDS)
    assert report.ledger.acknowledged, "customers bought meanwhile"
    assert (report.ledger.lost, report.ledger.doubled) == (0, 0), report.ledger
    assert report.invariants, report.reasons
    assert all(report.invariants.values()), report.differences
    assert report.orders.pending == 0
    assert running_for(state) == []


def figures(report: Report, tour: KillingTour) -> str:
    return (
        f"{len(tour.killed)} kills in {ROUNDS} rounds, back after {max(tour.recovered_s):.1f} s at most; "
        f"{report.requests.total} requests, {report.requests.failed} failed, {report.ledger.acknowledged} orders "
        f"acknowledged, {report.ledger.unanswered} never answered ({report.ledger.unanswered_placed} of them placed), "
        f"{report.ledger.lost} lost, {report.ledger.doubled} doubled; {report.orders}; {report.duration_s:.0f} s"
    )
