"""index.html: the report for people, one file that needs nothing else."""

from pathlib import Path

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from shop.tour import plots
from shop.tour.census import FACTS, ORDERS
from shop.tour.load import LEDGER, REQUESTS
from shop.tour.report import REPORT, Findings, OrderFigures, Report

PAGE = "index.html"


def write_page(report: Report, findings: Findings, directory: Path) -> Path:
    """Write index.html. Returns its path."""
    path = directory / PAGE
    raw = [name for name in (REPORT, REQUESTS, LEDGER, FACTS, ORDERS) if (directory / name).exists()]
    context = {"report": report, "plots": _plots(report, findings), "raw": raw}
    path.write_text(render_to_string("tour/report.html", context), encoding="utf-8")
    return path


def _plots(report: Report, findings: Findings) -> list[tuple[str, str, SafeString]]:
    """Title, what to read from it, and drawing of each plot that has data."""
    samples = findings.samples
    orders = [order for order in findings.seen if order is not None]
    drawn: list[tuple[str, str, str]] = []
    if samples:
        drawn += [
            (
                "Requests per second",
                "By the second in which a request was due, whether or not the shop kept up.",
                plots.requests_plot(samples, load_s=report.load_s, rate=findings.rate),
            ),
            (
                "Latency over time",
                "From the due moment to the whole answer, so a pause cannot hide.",
                plots.latency_plot(samples, load_s=report.load_s),
            ),
            ("Latency by step", "What each step of a customer's visit costs.", plots.steps_plot(report.latency)),
        ]
    if orders and findings.load_began_at is not None:
        drawn.append(
            (
                "Orders by outcome",
                _outcomes(report.orders),
                plots.orders_plot(orders, began_at=findings.load_began_at),
            )
        )
    if any(order.settled_at for order in orders):
        drawn.append(
            (
                "From placed to rest",
                f"Median {report.orders.settle_p50_s} s, p95 {report.orders.settle_p95_s} s, longest "
                f"{report.orders.settle_max_s} s; slow cards and timeouts are the provider's.",
                plots.settle_plot(orders),
            )
        )
    if report.memory_mb.by_process:
        drawn.append(
            (
                "Memory by process",
                f"At the peak of the load, children included, {report.memory_mb.measure}.",
                plots.memory_plot(report.memory_mb.by_process),
            )
        )
    return [(title, caption, mark_safe(svg)) for title, caption, svg in drawn]  # noqa: S308


def _outcomes(orders: OrderFigures) -> str:
    reasons = ", ".join(f"{number} {reason.replace('_', ' ')}" for reason, number in orders.cancelled_by_reason.items())
    return (
        f"{orders.confirmed} confirmed, {orders.cancelled} cancelled{f' ({reasons})' if reasons else ''}, "
        f"{orders.pending} still pending."
    )
