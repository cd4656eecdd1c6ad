"""Plots of the migration in a tour: latency through its stages, the switch close up, deploys and memory compared."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shop.tour.drawing import WIDE_PX, colour, legend, log_axis, svg
from shop.tour.moves import DeployComparison, StageRecord, SwitchFigures
from shop.tour.samples import Sample, overlapping, percentile

AROUND = timedelta(seconds=1)
"""Shown before and after a switch."""
SHORT = {
    "quiet_before": "quiet",
    "deploys_before": "deploys of the monolith",
    "quiet_after": "quiet",
    "deploys_after": "deploys of {module}",
    "rollback": "roll back",
    "second_cutover": "cut over",
    "cutover": "cut over",
}
LETTER_PX = 6.5
"""The name of a stage that is wider than the stage stands upright."""


def timeline_plot(
    samples: Sequence[Sample], stages: Sequence[StageRecord], switches: Sequence[SwitchFigures], *, module: str
) -> str:
    """Percentiles of latency through the stages of the tour, with the moments of the switches."""
    begun = min(sample.due_at for sample in samples)
    ended = max(sample.due_at for sample in samples)
    by_second: dict[int, list[float]] = {}
    for sample in samples:
        by_second.setdefault(int((sample.due_at - begun).total_seconds()), []).append(sample.latency_ms)
    moments = sorted(by_second)
    ordered = [sorted(by_second[moment]) for moment in moments]
    shown = [stage for stage in stages if stage.ended_at > begun and stage.began_at < ended and stage.key != "end_load"]
    failed = [sample for sample in samples if sample.problem]

    def draw(axes: Any) -> None:
        for percent, variable in ((100, "--muted"), (95, "--amber"), (50, "--blue")):
            values = [percentile(latencies, percent) for latencies in ordered]
            label = f"p{percent}" if percent < 100 else "slowest"
            axes.plot(
                [it + 0.5 for it in moments],
                values,
                color=colour(variable),
                linewidth=0.7 if percent == 100 else 1.5,
                label=label,
            )
        if failed:
            axes.plot(
                [(sample.due_at - begun).total_seconds() for sample in failed],
                [sample.latency_ms for sample in failed],
                "x",
                color=colour("--red"),
                label="failed",
            )
        log_axis(axes.yaxis, axes.set_yscale, label="ms")
        low, high = axes.get_ylim()
        axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
        axes.set_ylim(low, high * (high / low) ** 0.55)  # room for the names of the stages
        px_per_s = 0.92 * WIDE_PX / (ended - begun).total_seconds()
        for number, stage in enumerate(shown):
            left, right = ((moment - begun).total_seconds() for moment in (stage.began_at, stage.ended_at))
            if number % 2:
                axes.axvspan(left, right, color=colour("--line"), alpha=0.35, linewidth=0)
            name = SHORT.get(stage.key, stage.key).format(module=module)
            axes.text(
                (left + right) / 2,
                0.98,
                name,
                rotation=0 if (right - left) * px_per_s > LETTER_PX * len(name) else 90,
                transform=axes.get_xaxis_transform(),
                ha="center",
                va="top",
                color=colour("--ink" if stage.outcome == "done" else "--red"),
                fontsize=11,
            )
        for number, switch in enumerate(switches):
            axes.axvline(
                (switch.opened_at - begun).total_seconds(),
                color=colour("--green"),
                linewidth=1.5,
                label="switch" if not number else None,
            )
        axes.set_xlim(0, (ended - begun).total_seconds())
        axes.grid(axis="x", visible=False)
        axes.set_xlabel("seconds of load")
        legend(axes, columns=5)

    told = f"p50, p95 and slowest request of each second through {len(shown)} stages"
    return svg("timeline", "Latency through the tour", told, draw, width_px=WIDE_PX, height_px=340)


def switch_plot(name: str, switch: SwitchFigures, samples: Sequence[Sample], *, module: str) -> str:
    """Every request around a switch, a line from the moment it was due to its whole answer."""
    near = overlapping(samples, switch.opened_at - AROUND, switch.opened_at + AROUND)

    def at_ms(moment: datetime) -> float:
        return (moment - switch.opened_at).total_seconds() * 1000

    def draw(axes: Any) -> None:
        groups: dict[tuple[str, str], list[Sample]] = {}
        for sample in near:
            groups.setdefault(_kind(sample, module), []).append(sample)
        for (label, variable), some in sorted(groups.items()):
            axes.hlines(
                [sample.latency_ms for sample in some],
                [at_ms(sample.due_at) for sample in some],
                [at_ms(sample.answered_at) for sample in some],
                color=colour(variable),
                linewidth=2.2,
                label=label,
            )
        locked = at_ms(switch.opened_at) - switch.lock_to_open_ms
        axes.axvspan(locked, 0, color=colour("--green"), alpha=0.35, linewidth=0)
        axes.axvline(0, color=colour("--green"), linewidth=1.5, label=f"lock to open {switch.lock_to_open_ms:.1f} ms")
        log_axis(axes.yaxis, axes.set_yscale, label="ms until the answer")
        axes.set_xlim(-AROUND.total_seconds() * 1000, AROUND.total_seconds() * 1000)
        axes.set_xlabel(f"milliseconds before and after {switch.to_unit} opened")
        legend(axes)

    told = f"{len(near)} requests within a second of the moment at which {switch.to_unit} opened"
    return svg(name, f"The switch to {switch.to_unit}", told, draw, width_px=WIDE_PX, height_px=300)


def deploys_plot(deploys: DeployComparison) -> str:
    """Seconds of each deploy, before and after."""
    rows = [
        *(
            (f"{deploys.before.unit} {number}", seconds, "--amber")
            for number, seconds in _numbered(deploys.before.seconds)
        ),
        *(
            (f"{deploys.after.unit} {number}", seconds, "--blue")
            for number, seconds in _numbered(deploys.after.seconds)
        ),
    ]

    def draw(axes: Any) -> None:
        names = [name for name, _, _ in rows]
        axes.barh(names, [seconds for _, seconds, _ in rows], color=[colour(variable) for _, _, variable in rows])
        for row, (_, seconds, _) in enumerate(rows):
            axes.annotate(
                f"{seconds:.1f} s",
                (seconds, row),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                color=colour("--ink"),
            )
        axes.invert_yaxis()
        axes.tick_params(axis="y", labelcolor=colour("--ink"), length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.2 * max(seconds for _, seconds, _ in rows))
        axes.set_xlabel("seconds from the new version's start to the old one's end")

    return svg("deploys", "Deploys", ", ".join(f"{name}: {seconds:.1f} s" for name, seconds, _ in rows), draw)


def memory_comparison_plot(before: Mapping[str, float], after: Mapping[str, float]) -> str:
    """Megabytes by process, before and after."""
    names = sorted({*before, *after}, key=lambda name: (max(before.get(name, 0), after.get(name, 0)), name))

    def draw(axes: Any) -> None:
        for offset, label, mb, variable in ((0.2, "before", before, "--amber"), (-0.2, "after", after, "--blue")):
            rows = [row + offset for row in range(len(names))]
            values = [mb.get(name, 0) for name in names]
            axes.barh(rows, values, height=0.36, color=colour(variable), linewidth=0, label=label)
            for row, value in zip(rows, values, strict=True):
                if value:
                    axes.annotate(
                        f"{value:.0f}",
                        (value, row),
                        xytext=(4, 0),
                        textcoords="offset points",
                        va="center",
                        fontsize=10,
                        color=colour("--ink"),
                    )
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", labelcolor=colour("--ink"), length=0)
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, 1.15 * max([*before.values(), *after.values(), 1]))
        axes.set_xlabel("MB")
        legend(axes)

    told = f"{sum(before.values()):.0f} MB before, {sum(after.values()):.0f} MB after, by process"
    return svg("memory-phases", "Memory before and after", told, draw, height_px=max(250, 60 + 34 * len(names)))


def _kind(sample: Sample, module: str) -> tuple[str, str]:
    """Label and colour of a request around a switch: by who answered it. The module's unit has its name."""
    if sample.problem:
        return "failed", "--red"
    unit = sample.served_by.partition("/")[0]
    return (f"answered by {unit}" if unit else "answered"), "--blue" if unit == module else "--violet"


def _numbered(values: Sequence[float]) -> list[tuple[int, float]]:
    return list(enumerate(values, start=1))
