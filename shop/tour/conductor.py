"""A tour from beginning to end: start, load, rest, audit, comparison, report.

The shop's state is its own, var/tour, made anew each time: a tour works on an empty checkout and leaves alone what
`manage.py up` keeps. What it leaves is var/report, and var/tour with the logs until the next tour.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import msgspec
from django.conf import settings

from shop.platform import Shop
from shop.tour import census
from shop.tour.census import Visitor, facts_in, write_orders
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
REST_WITHIN_S = 75.0
AUDIT_WAIT_S = 30
LOAD_LOG = "load.log"


@dataclass
class Tour:
    """One tour of `seconds` of load. `run` writes the report whatever happens, and leaves the shop to its caller."""

    shop: Shop
    display: Display
    report_dir: Path
    seconds: float
    rate: float
    seed: int
    findings: Findings = field(init=False)

    def __post_init__(self) -> None:
        self.findings = Findings(rate=self.rate, seed=self.seed)
        self.report_dir.mkdir(parents=True, exist_ok=True)
        for name in (REPORT, PAGE, LEDGER, REQUESTS, census.FACTS, census.ORDERS, LOAD_LOG):
            (self.report_dir / name).unlink(missing_ok=True)

    def run(self, stack: ExitStack) -> Report:
        """Take the tour; the shop is entered on `stack`, so that the caller says when it ends."""
        try:
            with self._stage(START):
                stack.enter_context(self.shop)
                self.findings.start_up_s = round((datetime.now(UTC) - self.findings.started_at).total_seconds(), 1)
            with self._stage(BUY):
                self._load()
            with self._stage(REST):
                self._rest()
            with self._stage(AUDIT):
                self._audit()
            with self._stage(COMPARE):
                self._compare()
        except KeyboardInterrupt:
            self.findings.interrupted = True
        return self._write()
