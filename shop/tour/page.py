"""index.html: the report for people, one file that needs nothing else."""

from collections.abc import Iterator
from pathlib import Path

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from shop.tour import move_plots, plots
from shop.tour.census import FACTS, ORDERS, STOCK, STOCK_BEFORE
from shop.tour.load import LEDGER, REQUESTS
from shop.tour.memory import MEMORY
from shop.tour.moves import SwitchFigures
from shop.tour.report import REPORT, Findings, OrderFigures, Report

PAGE = "index.html"
RAW = (REPORT, REQUESTS, LEDGER, FACTS, ORDERS, STOCK_BEFORE, STOCK, MEMORY)
PHASES = ("before", "during", "after")
TITLES = {"cutover": "Cutover", "rollback": "Rollback", "second_cutover": "Second cutover"}

Plot = tuple[str, str, str]
"""Title, what to read from it, and drawing."""


def write_page(report: Report, findings: Findings, directory: Path) -> Path:
    """Write index.html. Returns its path."""
    path = directory / PAGE
    raw = [name for name in RAW if (directory / name).exists()]
    context = {
        "report": report,
        "wide_plots": _safe(_wide_plots(report, findings)),
        "plots": _safe(_plots(report, findings)),
        "phases": [(phase, report.latency[phase]) for phase in PHASES if phase in report.latency],
        "steps": [(step, latency) for step, latency in report.latency.items() if step not in PHASES],
        "sentences": list(sentences(report)),
        "raw": raw,
    }
    path.write_text(render_to_string("tour/report.html", context), encoding="utf-8")
    return path


def _wide_plots(report: Report, findings: Findings) -> Iterator[Plot]:
    """Those as wide as the page: the timeline, and each switch close up."""
    samples = findings.samples
    if not samples:
        return
    switches = [
        (name, switch)
        for name, switch in (
            ("cutover", report.cutover),
            ("rollback", report.rollback),
            ("second_cutover", report.second_cutover),
        )
        if switch is not None
    ]
    yield (
        "Latency through the tour",
        "Of each second, from the moment a request was due to its whole answer. Green lines: writes moved.",
        move_plots.timeline_plot(samples, findings.stages, [switch for _, switch in switches], module=findings.module),
    )
    for name, switch in switches:
        yield (
            f"{TITLES[name]}: from {switch.from_unit} to {switch.to_unit}",
            _of_switch(switch),
            move_plots.switch_plot(name, switch, samples, module=findings.module),
        )


def _plots(report: Report, findings: Findings) -> Iterator[Plot]:
    """Title, what to read from it, and drawing of each plot that has data."""
    samples = findings.samples
    orders = [order for order in findings.seen if order is not None]
    before, after = report.memory_mb.before, report.memory_mb.after
    if report.deploys.before.count or report.deploys.after.count:
        yield (
            "Deploying a change",
            "Before, with everything; after, alone. A new process starts beside the old one, takes over, and only then "
            "the old one ends.",
            move_plots.deploys_plot(report.deploys),
        )
    if before.by_process and after.by_process:
        yield (
            "Memory before and after",
            f"At the peak of the quiet times, children included, {report.memory_mb.measure}: {before.total:.0f} MB "
            f"before, {after.total:.0f} MB after.",
            move_plots.memory_comparison_plot(before.by_process, after.by_process),
        )
    elif report.memory_mb.by_process:
        yield (
            "Memory by process",
            f"At the peak of the load, children included, {report.memory_mb.measure}.",
            plots.memory_plot(report.memory_mb.by_process),
        )
    if samples:
        yield (
            "Requests per second",
            "By the second in which a request was due, whether or not the shop kept up.",
            plots.requests_plot(samples, load_s=report.load_s, rate=findings.rate),
        )
        steps = {step: latency for step, latency in report.latency.items() if step not in PHASES}
        yield ("Latency by step", "What each step of a visit costs.", plots.steps_plot(steps))
    if orders and findings.load_began_at is not None:
        yield (
            "Orders by outcome",
            _outcomes(report.orders),
            plots.orders_plot(orders, began_at=findings.load_began_at),
        )
    if any(order.settled_at for order in orders):
        yield (
            "From placed to rest",
            f"Median {report.orders.settle_p50_s} s, p95 {report.orders.settle_p95_s} s, longest "
            f"{report.orders.settle_max_s} s; slow cards and timeouts are the provider's.",
            plots.settle_plot(orders),
        )


def sentences(report: Report) -> Iterator[str]:
    """What was measured of the migration, in words."""
    module, requests, latency = report.module, report.requests, report.latency
    if report.cutover is not None:
        yield (
            f"The writes of {module} moved to their own unit in {report.cutover.lock_to_open_ms:.1f} ms, from the lock "
            f"to the moment the other side opened. {_of_switch(report.cutover)}"
        )
    back = [
        (TITLES[name], switch)
        for name, switch in (("rollback", report.rollback), ("second_cutover", report.second_cutover))
        if switch is not None
    ]
    if back:
        told = ", ".join(f"{title.lower()} {switch.lock_to_open_ms:.1f} ms" for title, switch in back)
        yield f"It went back and out again: {told}."
    yield (
        f"Of {requests.total} requests {requests.failed or 'none'} failed and {report.ambiguous or 'none'} got an "
        "answer that leaves open whether it took effect."
    )
    if report.ledger.acknowledged is not None:
        yield (
            f"{report.ledger.orders} orders, {report.ledger.receipts} receipts of goods and "
            f"{report.ledger.accounts} new accounts were acknowledged; "
            f"{report.ledger.lost or 'none'} lost, {report.ledger.doubled or 'none'} doubled."
        )
    if "before" in latency and "during" in latency:
        told = ", ".join(f"{latency[phase].p95_ms:.0f} ms {phase}" for phase in PHASES if phase in latency)
        yield f"p95 of all requests: {told} the migration."
    before, after = report.deploys.before, report.deploys.after
    if before.count and after.count:
        yield (
            f"A deploy of the monolith took {before.median_seconds:.1f} s at the median and restarted "
            f"{before.modules_restarted} modules; a deploy of {module} alone {after.median_seconds:.1f} s and "
            f"{after.modules_restarted}. {before.failed_requests + after.failed_requests or 'No'} requests failed in "
            f"{before.count + after.count} deploys."
        )
    memory = report.memory_mb
    if memory.before.total is not None and memory.after.total is not None:
        added = memory.after.by_process.keys() - memory.before.by_process.keys()
        own_mb = sum(memory.after.by_process[name] for name in added)
        yield (
            f"The price: {memory.before.total:.0f} MB of memory before, {memory.after.total:.0f} MB after. The "
            f"processes of the new unit take {own_mb:.0f} MB of it; the others had grown older, their caches larger."
        )


def _of_switch(switch: SwitchFigures) -> str:
    if switch.slowest_overlapping_request_ms is None:
        return "No request was under way meanwhile."
    return (
        f"{switch.overlapping_requests} {'request was' if switch.overlapping_requests == 1 else 'requests were'} "
        "under way meanwhile, the slowest took "
        f"{switch.slowest_overlapping_request_ms:.0f} ms ({switch.slowest_overlapping_step.replace('_', ' ')}), "
        f"{switch.overlapping_failed or 'none'} failed."
    )


def _safe(drawn: Iterator[Plot]) -> list[tuple[str, str, SafeString]]:
    return [(title, caption, mark_safe(svg)) for title, caption, svg in drawn]  # noqa: S308


def _outcomes(orders: OrderFigures) -> str:
    reasons = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in orders.cancelled_by_reason.items())
    return (
        f"{orders.confirmed} confirmed, {orders.cancelled} cancelled{f' ({reasons})' if reasons else ''}, "
        f"{orders.pending} still pending."
    )
