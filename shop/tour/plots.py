"""Plots of customers, orders and memory in a tour."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shop.tour.census import ShownOrder
from shop.tour.drawing import colour, legend, log_axis, svg
from shop.tour.samples import Latency, Sample, percentile

MOST_BUCKETS = 90
FEWEST_FOR_PERCENTILES = 10


def requests_plot(samples: Sequence[Sample], *, load_s: float, rate: float) -> str:
    """Requests per second over time, with the ones that failed."""
    width = _bucket_s(load_s)
    sent = _per_bucket(samples, width)
    moments = sorted(sent)
    good = [sum(1 for sample in sent[moment] if not sample.problem) / width for moment in moments]
    bad = [sum(1 for sample in sent[moment] if sample.problem) / width for moment in moments]

    def draw(axes: Any) -> None:
        axes.bar(moments, good, width=width, align="edge", color=colour("--blue"), linewidth=0, label="answered")
        if any(bad):
            axes.bar(
                moments, bad, bottom=good, width=width, align="edge", color=colour("--red"), linewidth=0, label="failed"
            )
        axes.axhline(rate, color=colour("--ink"), linewidth=1, linestyle=(0, (4, 3)), label=f"target {rate:g}/s")
        axes.set_ylim(0, 1.15 * max(rate, *(a + b for a, b in zip(good, bad, strict=True))))
        axes.set_xlabel("seconds of load")
        legend(axes)

    failed = sum(1 for sample in samples if sample.problem)
    return svg("requests", "Requests per second", f"{len(samples)} requests, {failed} failed, target {rate:g}/s", draw)


def latency_plot(samples: Sequence[Sample], *, load_s: float) -> str:
    """Percentiles of latency over time."""
    width = 2 * _bucket_s(load_s)
    buckets = _per_bucket(samples, width)
    moments = [moment for moment in sorted(buckets) if len(buckets[moment]) >= FEWEST_FOR_PERCENTILES]
    ordered = [sorted(sample.latency_ms for sample in buckets[moment]) for moment in moments]
    middles = [moment + width / 2 for moment in moments]

    def draw(axes: Any) -> None:
        for percent, variable in ((99, "--violet"), (95, "--amber"), (50, "--blue")):
            values = [percentile(latencies, percent) for latencies in ordered]
            axes.plot(middles, values, color=colour(variable), linewidth=1.8, label=f"p{percent}")
        log_axis(axes.yaxis, axes.set_yscale, label="ms")
        axes.set_xlabel("seconds of load")
        legend(axes)

    return svg("latency", "Latency over time", f"p50, p95 and p99 of each {width:g} s, milliseconds", draw)


def steps_plot(latency: Mapping[str, Latency]) -> str:
    """Percentiles of latency by journey step."""
    steps = sorted((name for name in latency if name != "all"), key=lambda name: latency[name].p95_ms)

    def draw(axes: Any) -> None:
        for row, step in enumerate(steps):
            it = latency[step]
            axes.plot([it.p50_ms, it.p99_ms], [row, row], color=colour("--line"), linewidth=4, solid_capstyle="round")
        for name, variable in (("p50_ms", "--blue"), ("p95_ms", "--amber"), ("p99_ms", "--violet")):
            axes.plot(
                [getattr(latency[step], name) for step in steps],
                range(len(steps)),
                "o",
                color=colour(variable),
                markersize=6,
                label=name.removesuffix("_ms"),
            )
        axes.set_yticks(range(len(steps)), [step.replace("_", " ") for step in steps])
        axes.set_ylim(-0.6, len(steps) - 0.4)
        axes.tick_params(axis="y", labelcolor=colour("--ink"), length=0)
        axes.grid(axis="y", visible=False)
        log_axis(axes.xaxis, axes.set_xscale, label="ms")
        legend(axes)

    return svg("steps", "Latency by step", "p50, p95 and p99 of each journey step, milliseconds", draw)


def orders_plot(orders: Sequence[ShownOrder], *, began_at: datetime) -> str:
    """Orders by outcome over time, from placed to confirmed or cancelled."""
    changes: list[tuple[float, str, int]] = []
    for order in orders:
        changes.append(((order.placed_at - began_at).total_seconds(), "pending", 1))
        if order.settled_at is not None:
            at = (order.settled_at - began_at).total_seconds()
            changes += [(at, "pending", -1), (at, order.state, 1)]
    number = {"confirmed": 0, "cancelled": 0, "pending": 0}
    moments, counts = [0.0], {state: [0] for state in number}
    for at, state, change in sorted(changes):
        number[state] += change
        moments.append(max(0.0, at))
        for name, so_far in number.items():
            counts[name].append(so_far)

    def draw(axes: Any) -> None:
        colours = {"confirmed": "--green", "cancelled": "--amber", "pending": "--blue"}
        axes.stackplot(
            moments,
            [counts[state] for state in colours],
            colors=[colour(variable) for variable in colours.values()],
            labels=[f"{state} {number[state]}" for state in colours],
            linewidth=0,
            step="post",
        )
        axes.set_ylim(0, None)
        axes.set_xlabel("seconds since the load began")
        legend(axes)

    return svg("orders", "Orders by outcome", ", ".join(f"{n} {state}" for state, n in number.items()), draw)


def settle_plot(orders: Sequence[ShownOrder]) -> str:
    """Share of orders that came to rest within so many seconds, by outcome."""
    waits: dict[str, list[float]] = defaultdict(list)
    for order in orders:
        if order.settled_at is not None:
            waits[order.state].append(max(0.01, (order.settled_at - order.placed_at).total_seconds()))

    def draw(axes: Any) -> None:
        for state, variable in (("confirmed", "--green"), ("cancelled", "--amber")):
            if waits[state]:
                axes.ecdf(waits[state], color=colour(variable), linewidth=1.8, label=state)
        log_axis(axes.xaxis, axes.set_xscale, label="seconds since placed")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_ylim(0, 1.02)
        legend(axes)

    number = sum(map(len, waits.values()))
    return svg("settle", "Time to rest", f"{number} orders, share that came to rest within so many seconds", draw)


def memory_plot(by_process: Mapping[str, float]) -> str:
    """Megabytes by process."""
    names = sorted(by_process, key=lambda name: by_process[name])

    def draw(axes: Any) -> None:
        axes.barh(names, [by_process[name] for name in names], color=colour("--blue"), height=0.6, linewidth=0)
        for row, name in enumerate(names):
            axes.annotate(
                f"{by_process[name]:.0f}",
                (by_process[name], row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=colour("--ink"),
            )
        axes.tick_params(axis="y", labelcolor=colour("--ink"), length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.15 * max(by_process.values()))
        axes.set_xlabel("MB")

    return svg("memory", "Memory by process", ", ".join(f"{name} {by_process[name]:.0f} MB" for name in names), draw)


def _bucket_s(load_s: float) -> float:
    return max(1.0, round(load_s / MOST_BUCKETS))


def _per_bucket(samples: Sequence[Sample], width: float) -> dict[float, list[Sample]]:
    buckets: dict[float, list[Sample]] = defaultdict(list)
    for sample in samples:
        buckets[sample.at_s // width * width].append(sample)
    return buckets
