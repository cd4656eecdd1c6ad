"""report.json: every number of a tour, measured in that tour, and what each means."""

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from extraction.deploys.records import Deploy
from shop.tour.census import ShownOrder
from shop.tour.ledger import Comparison, Difference, Doubled
from shop.tour.memory import MemorySample, measure
from shop.tour.moves import (
    SWITCHES,
    DeployComparison,
    StageRecord,
    SwitchFigures,
    deploy_figures,
    latency_by_phase,
    measured,
    memory_of_phase,
    phases,
    switch_in,
)
from shop.tour.samples import Latency, Sample, latency_by_step, percentile
from shop.tour.stages import MOVES

REPORT = "report.json"
RECOUNT = (
    "requests.jsonl has one line for each request: total = lines, failed = lines whose problem is not empty, "
    "ambiguous = lines with is_ambiguous true, latency = nearest-rank percentiles of latency_ms by step, and of "
    "those whose due_at lies in the phase (stages has its moments). ledger.jsonl has one line for each answer to a "
    "POST of an order, of received goods or of an account: acknowledged = distinct idempotency_key with acknowledged "
    "true. facts.jsonl is what the orders module holds, orders.jsonl what GET /api/orders/<id>/ showed of each "
    "acknowledged order after the load. lost = acknowledged order_id that is missing from either file or differs in "
    "lines or total_cents; doubled = an idempotency_key of the ledger with more than one id in facts.jsonl. "
    "Receipts: of each sku, received in stock.jsonl minus received in stock_before.jsonl is the sum of the "
    "acknowledged quantities; less is lost, more is doubled. Accounts: the owner signs in and is the same "
    "account_id. A switch's slowest request is the largest latency_ms of those with due_at <= opened_at and due_at + "
    "latency_ms >= began_at."
)


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were sent.

    `failed`: refused, no answer in 10 s, or another answer than the journey expects. `problems`: how often each was
    met. `rate_target` is --rate; `rate_per_s` is total / load_s.
    """

    total: int
    failed: int
    rate_target: float
    rate_per_s: float
    problems: dict[str, int]


class LedgerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger against the shop; counts are of operations (idempotency keys). None where it was not compared.

    `orders`, `receipts` and `accounts` are the parts of `acknowledged`: orders of customers, goods that staff received,
    customers who registered.
    `unanswered` were never answered; of them `unanswered_placed` left an order. `differences` and `doubles` are the
    cases behind `lost` and `doubled`.
    """

    acknowledged: int | None = None
    orders: int | None = None
    receipts: int | None = None
    accounts: int | None = None
    lost: int | None = None
    doubled: int | None = None
    unanswered: int | None = None
    unanswered_placed: int | None = None
    differences: tuple[Difference, ...] = ()
    doubles: tuple[Doubled, ...] = ()


class OrderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Acknowledged orders after the shop came to rest. `settle_*_s`: from placed to confirmed or cancelled."""

    placed: int = 0
    confirmed: int = 0
    cancelled: int = 0
    pending: int = 0
    cancelled_by_reason: dict[str, int] = {}
    settle_p50_s: float | None = None
    settle_p95_s: float | None = None
    settle_max_s: float | None = None


class MemoryOfPhase(msgspec.Struct, frozen=True, kw_only=True):
    """Megabytes at the peak of a phase."""

    total: float | None = None
    by_process: dict[str, float] = {}


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Megabytes (10^6 bytes) at the peak of the load: `total` of the moment with the largest sum, `by_process` then.

    `before` and `after` are the same of the quiet times before the module left and after. `measure` is PSS (shared
    pages count once in all) or, where the system does not tell it, RSS.
    """

    total: float | None
    by_process: dict[str, float]
    measure: str
    before: MemoryOfPhase
    after: MemoryOfPhase


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What the tour ran on; load generator and shop share it."""

    system: str
    cores: int
    memory_gb: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A tour.

    module               that was taken out, back and out again
    verdict              passed, failed or interrupted
    reasons              why it failed, a sentence each
    interrupted          Ctrl-C came before the end; what was not measured is null or empty
    started_at           UTC
    duration_s           from the command to this report
    start_up_s           from the command to the shop's first answer, migrating and seeding included
    load_s               how long requests were sent
    seed                 of the random choices; the same seed gives the same arrival times
    ambiguous            requests answered that nobody knows whether they took effect; they count as failed too
    orders_per_second    acknowledged orders / load_s
    stages               what was done and when, with the evidence of each
    home, epoch          where the module lives at the end, as `manage.py extract status` says
    cutover, rollback, second_cutover   the three switches; null where it did not come to it
    deploys              the same change deployed with everything, before, and alone, after
    invariants           name -> held, by `manage.py audit` after the shop came to rest
    differences          what the audit found, a line each
    latency              by journey step, `all`, and of all requests by phase: `before` is the quiet baseline,
                         `during` from the beginning of provision until a minute after the first cutover (or the
                         rollback), `after` the quiet time after the cutover
    recount              how to get at every figure from the raw files beside this one
    """

    module: str
    verdict: str
    reasons: tuple[str, ...]
    interrupted: bool
    started_at: datetime
    duration_s: float
    start_up_s: float | None
    load_s: float
    seed: int
    requests: Requests
    ambiguous: int
    ledger: LedgerFigures
    orders: OrderFigures
    orders_per_second: float
    invariants: dict[str, bool]
    differences: tuple[str, ...]
    home: str
    epoch: int | None
    stages: tuple[StageRecord, ...]
    cutover: SwitchFigures | None
    rollback: SwitchFigures | None
    second_cutover: SwitchFigures | None
    deploys: DeployComparison
    latency: dict[str, Latency]
    memory_mb: Memory
    versions: dict[str, str]
    machine: Machine
    recount: str = RECOUNT

    @property
    def exit_status(self) -> int:
        return {"passed": 0, "failed": 1, "interrupted": 130}[self.verdict]


class Findings(msgspec.Struct, kw_only=True):
    """What a tour has learned so far; `report_of` makes the report of it at any moment."""

    rate: float
    seed: int
    module: str
    started_at: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    interrupted: bool = False
    start_up_s: float | None = None
    load_began_at: datetime | None = None
    load_s: float = 0.0
    samples: list[Sample] = []
    comparison: Comparison | None = None
    seen: list[ShownOrder | None] = []
    invariants: dict[str, bool] | None = None
    differences: tuple[str, ...] = ()
    memory: list[MemorySample] = []
    stages: list[StageRecord] = []
    deploys_before: list[Deploy] = []
    deploys_after: list[Deploy] = []
    home: str = ""
    epoch: int | None = None
    server_version: str = ""
    troubles: list[str] = []
    """What went wrong outside of requests, ledger and invariants, a sentence each."""


def report_of(findings: Findings) -> Report:
    """The report of what is known now."""
    reasons = tuple(_reasons(findings))
    if findings.interrupted:
        verdict = "interrupted"
    else:
        verdict = "failed" if reasons else "passed"
    load_s = findings.load_s
    switches = {
        stage.key: measured(switch, findings.samples)
        for stage in findings.stages
        if stage.key in SWITCHES and (switch := switch_in(stage.evidence)) is not None
    }
    failed = [sample for sample in findings.samples if sample.problem]
    compared = findings.comparison
    return Report(
        module=findings.module,
        verdict=verdict,
        reasons=reasons,
        interrupted=findings.interrupted,
        started_at=findings.started_at,
        duration_s=round((datetime.now(UTC) - findings.started_at).total_seconds(), 1),
        start_up_s=findings.start_up_s,
        load_s=round(load_s, 1),
        seed=findings.seed,
        requests=Requests(
            total=len(findings.samples),
            failed=len(failed),
            rate_target=findings.rate,
            rate_per_s=round(len(findings.samples) / load_s, 1) if load_s else 0.0,
            problems=dict(Counter(f"{sample.step}: {sample.problem}" for sample in failed).most_common(20)),
        ),
        ambiguous=sum(1 for sample in findings.samples if sample.is_ambiguous),
        ledger=LedgerFigures()
        if compared is None
        else LedgerFigures(
            acknowledged=compared.acknowledged,
            orders=compared.acknowledged_orders,
            receipts=compared.acknowledged_receipts,
            accounts=compared.acknowledged_accounts,
            lost=len(compared.lost),
            doubled=len(compared.doubled),
            unanswered=compared.unanswered,
            unanswered_placed=compared.unanswered_placed,
            differences=compared.lost,
            doubles=compared.doubled,
        ),
        orders=_orders(findings.seen),
        orders_per_second=round(compared.acknowledged_orders / load_s, 2) if compared is not None and load_s else 0.0,
        invariants=findings.invariants or {},
        differences=findings.differences,
        home=findings.home,
        epoch=findings.epoch,
        stages=tuple(findings.stages),
        cutover=switches.get("cutover"),
        rollback=switches.get("rollback"),
        second_cutover=switches.get("second_cutover"),
        deploys=DeployComparison(
            before=deploy_figures(findings.deploys_before, findings.samples),
            after=deploy_figures(findings.deploys_after, findings.samples),
        ),
        latency=latency_by_step(findings.samples) | latency_by_phase(findings.stages, findings.samples),
        memory_mb=_memory(findings),
        versions=_versions(findings.server_version),
        machine=Machine(
            system=platform.platform(terse=True),
            cores=os.cpu_count() or 0,
            memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        ),
    )


def write_report(report: Report, directory: Path) -> Path:
    """Write report.json, whole or not at all. Returns its path."""
    path = directory / REPORT
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return fresh.replace(path)


def _reasons(findings: Findings) -> list[str]:
    reasons = list(findings.troubles)
    if failed := sum(1 for sample in findings.samples if sample.problem):
        reasons.append(f"{_count(failed, 'request')} failed")
    if ambiguous := sum(1 for sample in findings.samples if sample.is_ambiguous):
        reasons.append(f"{_count(ambiguous, 'request')} answered that nobody knows whether it took effect")
    if findings.comparison is not None:
        lost, doubled = findings.comparison.lost, findings.comparison.doubled
        if orders := sum(1 for it in lost if not (it.sku or it.email)):
            reasons.append(f"{_count(orders, 'acknowledged order')} lost or changed")
        if receipts := sum(1 for it in lost if it.sku):
            reasons.append(f"{_count(receipts, 'acknowledged receipt')} of goods lost")
        if accounts := sum(1 for it in lost if it.email):
            reasons.append(f"{_count(accounts, 'acknowledged account')} lost or changed")
        if orders := sum(1 for it in doubled if not it.sku):
            reasons.append(f"{_count(orders, 'order')} doubled")
        if receipts := sum(1 for it in doubled if it.sku):
            reasons.append(f"{_count(receipts, 'receipt')} of goods doubled")
    reasons += [f"invariant {name} does not hold" for name, held in (findings.invariants or {}).items() if not held]
    if not findings.interrupted:
        reasons += _missing(findings)
    return reasons


def _missing(findings: Findings) -> Iterator[str]:
    """What a whole tour would have and this one has not."""
    if not findings.samples:
        yield "no request was sent"
    if findings.comparison is None:
        yield "the ledger was not compared"
    elif not findings.comparison.acknowledged_orders:
        yield "no order was acknowledged"
    if not findings.invariants:
        yield "the invariants were not checked"
    done = {stage.key for stage in findings.stages if stage.outcome == "done"}
    if missing := [key.replace("_", " ") for key in MOVES if key not in done]:
        yield f"not done: {', '.join(missing)}"


def _orders(seen: Sequence[ShownOrder | None]) -> OrderFigures:
    orders = [order for order in seen if order is not None]
    states = Counter(order.state for order in orders)
    waits = sorted((order.settled_at - order.placed_at).total_seconds() for order in orders if order.settled_at)
    return OrderFigures(
        placed=len(orders),
        confirmed=states["confirmed"],
        cancelled=states["cancelled"],
        pending=states["pending"],
        cancelled_by_reason=dict(Counter(order.reason or "" for order in orders if order.state == "cancelled")),
        settle_p50_s=round(percentile(waits, 50), 2) if waits else None,
        settle_p95_s=round(percentile(waits, 95), 2) if waits else None,
        settle_max_s=round(waits[-1], 2) if waits else None,
    )


def _memory(findings: Findings) -> Memory:
    peak = max((sample.mb for sample in findings.memory), key=lambda mb: sum(mb.values()), default={})
    of = phases(findings.stages)
    before, after = (memory_of_phase(findings.memory, of.get(phase)) for phase in ("before", "after"))
    return Memory(
        total=_sum(peak),
        by_process=peak,
        measure=measure(),
        before=MemoryOfPhase(total=_sum(before), by_process=before),
        after=MemoryOfPhase(total=_sum(after), by_process=after),
    )


def _sum(mb: Mapping[str, float]) -> float | None:
    return round(sum(mb.values()), 1) if mb else None


def _versions(server: str) -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        **{name: version(name) for name in ("django", "psycopg", "celery", "kombu", "gunicorn")},
    }
    if server:
        found["postgresql"] = server
    if commit := _commit():
        found["commit"] = commit
    return found


def _commit() -> str:
    """The commit of this checkout, marked where files differ from it; empty outside of a checkout."""
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=5,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
