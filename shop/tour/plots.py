"""Plots of a tour as inline SVG that takes its colours from the page, so that one drawing serves light and dark."""

import io
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from shop.tour.census import ShownOrder
from shop.tour.samples import Latency, Sample, percentile

COLOURS = {
    "--ink": "#010101",
    "--muted": "#020202",
    "--line": "#030303",
    "--blue": "#040404",
    "--green": "#050505",
    "--red": "#060606",
    "--amber": "#070707",
    "--violet": "#080808",
}
"""Drawn in a grey that nothing else has, then replaced by the page's variable of that name."""
WIDTH_PX, HEIGHT_PX, TEXT_PX = 440, 250, 13
MOST_BUCKETS = 90
FEWEST_FOR_PERCENTILES = 10
_DPI = 72


def requests_plot(samples: Sequence[Sample], *, load_s: float, rate: float) -> str:
    """Requests per second over time, with the ones that failed."""
    width = _bucket_s(load_s)
    sent = _per_bucket(samples, width)
    moments = sorted(sent)
    good = [sum(1 for sample in sent[moment] if not sample.problem) / width for moment in moments]
    bad = [sum(1 for sample in sent[moment] if sample.problem) / width for moment in moments]

    def draw(axes: Any) -> None:
        axes.bar(moments, good, width=width, align="edge", color=_c("--blue"), linewidth=0, label="answered")
        if any(bad):
            axes.bar(
                moments, bad, bottom=good, width=width, align="edge", color=_c("--red"), linewidth=0, label="failed"
            )
        axes.axhline(rate, color=_c("--ink"), linewidth=1, linestyle=(0, (4, 3)), label=f"target {rate:g}/s")
        axes.set_ylim(0, 1.15 * max(rate, *(a + b for a, b in zip(good, bad, strict=True))))
        axes.set_xlabel("seconds of load")
        _legend(axes)

    failed = sum(1 for sample in samples if sample.problem)
    return _svg("requests", "Requests per second", f"{len(samples)} requests, {failed} failed, target {rate:g}/s", draw)


def latency_plot(samples: Sequence[Sample], *, load_s: float) -> str:
    """Percentiles of latency over time."""
    width = 2 * _bucket_s(load_s)
    buckets = _per_bucket(samples, width)
    moments = [moment for moment in sorted(buckets) if len(buckets[moment]) >= FEWEST_FOR_PERCENTILES]
    ordered = [sorted(sample.latency_ms for sample in buckets[moment]) for moment in moments]
    middles = [moment + width / 2 for moment in moments]

    def draw(axes: Any) -> None:
        for percent, colour in ((99, "--violet"), (95, "--amber"), (50, "--blue")):
            values = [percentile(latencies, percent) for latencies in ordered]
            axes.plot(middles, values, color=_c(colour), linewidth=1.8, label=f"p{percent}")
        _log(axes.yaxis, axes.set_yscale, label="ms")
        axes.set_xlabel("seconds of load")
        _legend(axes)

    return _svg("latency", "Latency over time", f"p50, p95 and p99 of each {width:g} s, milliseconds", draw)


def steps_plot(latency: Mapping[str, Latency]) -> str:
    """Percentiles of latency by journey step."""
    steps = sorted((name for name in latency if name != "all"), key=lambda name: latency[name].p95_ms)

    def draw(axes: Any) -> None:
        for row, step in enumerate(steps):
            it = latency[step]
            axes.plot([it.p50_ms, it.p99_ms], [row, row], color=_c("--line"), linewidth=4, solid_capstyle="round")
        for name, colour in (("p50_ms", "--blue"), ("p95_ms", "--amber"), ("p99_ms", "--violet")):
            axes.plot(
                [getattr(latency[step], name) for step in steps],
                range(len(steps)),
                "o",
                color=_c(colour),
                markersize=6,
                label=name.removesuffix("_ms"),
            )
        axes.set_yticks(range(len(steps)), [step.replace("_", " ") for step in steps])
        axes.set_ylim(-0.6, len(steps) - 0.4)
        axes.tick_params(axis="y", labelcolor=_c("--ink"), length=0)
        axes.grid(axis="y", visible=False)
        _log(axes.xaxis, axes.set_xscale, label="ms")
        _legend(axes)

    return _svg("steps", "Latency by step", "p50, p95 and p99 of each journey step, milliseconds", draw)


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
            colors=[_c(colour) for colour in colours.values()],
            labels=[f"{state} {number[state]}" for state in colours],
            linewidth=0,
            step="post",
        )
        axes.set_ylim(0, None)
        axes.set_xlabel("seconds since the load began")
        _legend(axes)

    return _svg("orders", "Orders by outcome", ", ".join(f"{n} {state}" for state, n in number.items()), draw)


def settle_plot(orders: Sequence[ShownOrder]) -> str:
    """Share of orders that came to rest within so many seconds, by outcome."""
    waits: dict[str, list[float]] = defaultdict(list)
    for order in orders:
        if order.settled_at is not None:
            waits[order.state].append(max(0.01, (order.settled_at - order.placed_at).total_seconds()))

    def draw(axes: Any) -> None:
        for state, colour in (("confirmed", "--green"), ("cancelled", "--amber")):
            if waits[state]:
                axes.ecdf(waits[state], color=_c(colour), linewidth=1.8, label=state)
        _log(axes.xaxis, axes.set_xscale, label="seconds since placed")
        axes.yaxis.set_major_formatter("{x:.0%}")
        axes.set_ylim(0, 1.02)
        _legend(axes)

    number = sum(map(len, waits.values()))
    return _svg("settle", "Time to rest", f"{number} orders, share that came to rest within so many seconds", draw)


def memory_plot(by_process: Mapping[str, float]) -> str:
    """Megabytes by process."""
    names = sorted(by_process, key=lambda name: by_process[name])

    def draw(axes: Any) -> None:
        axes.barh(names, [by_process[name] for name in names], color=_c("--blue"), height=0.6, linewidth=0)
        for row, name in enumerate(names):
            axes.annotate(
                f"{by_process[name]:.0f}",
                (by_process[name], row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=_c("--ink"),
            )
        axes.tick_params(axis="y", labelcolor=_c("--ink"), length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.15 * max(by_process.values()))
        axes.set_xlabel("MB")

    return _svg("memory", "Memory by process", ", ".join(f"{name} {by_process[name]:.0f} MB" for name in names), draw)


def _svg(name: str, title: str, description: str, draw: Callable[[Any], None]) -> str:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "font.size": TEXT_PX,
        "axes.edgecolor": _c("--line"),
        "axes.labelcolor": _c("--muted"),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": _c("--line"),
        "grid.linewidth": 0.7,
        "xtick.color": _c("--muted"),
        "ytick.color": _c("--muted"),
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "text.color": _c("--ink"),
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(WIDTH_PX / _DPI, HEIGHT_PX / _DPI), dpi=_DPI, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return _embeddable(file.getvalue(), name=name, title=title, description=description)


def _embeddable(svg: str, *, name: str, title: str, description: str) -> str:
    """Without prologue and metadata, ids unique in the page, colours and fonts of the page, a title for readers."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    head = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-desc" viewBox="0 0 {WIDTH_PX} {HEIGHT_PX}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", head, svg, count=1)


def _c(variable: str) -> str:
    return COLOURS[variable]


def _legend(axes: Any) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=4,
        frameon=False,
        handlelength=1.0,
        columnspacing=1.2,
        borderaxespad=0.2,
        labelcolor=_c("--ink"),
    )


def _log(axis: Any, set_scale: Callable[[str], None], *, label: str) -> None:
    """A logarithmic axis with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    set_scale("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1, 3)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)
    axis.set_label_text(label)


def _bucket_s(load_s: float) -> float:
    return max(1.0, round(load_s / MOST_BUCKETS))


def _per_bucket(samples: Sequence[Sample], width: float) -> dict[float, list[Sample]]:
    buckets: dict[float, list[Sample]] = defaultdict(list)
    for sample in samples:
        buckets[sample.at_s // width * width].append(sample)
    return buckets
