"""What a tour shows while it goes: a live picture on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from django.core.management.base import OutputWrapper
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from shop.tour.load import Progress
from shop.tour.stages import Stage

PLAIN_EVERY_S = 5.0


class Display(Protocol):
    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stage(self, stage: Stage) -> AbstractContextManager[None]:
        """Around a stage of the tour: says what and why; an exception marks it as not done."""
        ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """Around a part of the current stage."""
        ...

    def detail(self, text: str) -> None:
        """What the current stage is doing now; may be called more often than it is shown."""
        ...

    def said(self, line: str) -> None:
        """What a command of the current stage said; each line is shown."""
        ...

    def progress(self, progress: Progress) -> None:
        """How the load stands."""
        ...


@dataclass
class _Shown:
    stage: Stage
    began: float | None = None
    took_s: float | None = None
    is_broken: bool = False
    detail: str = ""


class LiveDisplay:
    """Stages with ticks, and the figures of the load, redrawn in place."""

    def __init__(self, console: Console, stages: Iterable[Stage]) -> None:
        self._stages = {stage.key: _Shown(stage) for stage in stages}
        self._current: _Shown | None = None
        self._progress: Progress | None = None
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=8)

    def __enter__(self) -> "LiveDisplay":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        self._current = shown = self._stages[stage.key]
        shown.began = time.monotonic()
        try:
            yield
        except BaseException:
            shown.is_broken = True
            raise
        finally:
            shown.took_s = time.monotonic() - shown.began

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.detail(name)
        yield
        self.detail("")

    def detail(self, text: str) -> None:
        if self._current is not None:
            self._current.detail = text

    def said(self, line: str) -> None:
        self.detail(line)

    def progress(self, progress: Progress) -> None:
        self._progress = progress

    def _render(self) -> Group:
        stages = Table.grid(padding=(0, 2))
        for shown in self._stages.values():
            stages.add_row(*_row(shown, is_current=shown is self._current and shown.took_s is None))
        return Group(Text(), stages, *([] if self._progress is None else [_figures(self._progress)]))


class PlainDisplay:
    """A line when a stage begins and ends, and every few seconds of load."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out = out
        self._begun = time.monotonic()
        self._told = 0.0

    def __enter__(self) -> "PlainDisplay":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        began = time.monotonic()
        self._say(f"{stage.title}: {stage.why}")
        try:
            yield
        except BaseException:
            self._say(f"{stage.title}: not done")
            raise
        self._say(f"{stage.title}: done in {time.monotonic() - began:.1f} s")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"  {name}: {time.monotonic() - began:.1f} s")

    def detail(self, text: str) -> None:
        if self._is_time():
            self._say(f"  {text}")

    def said(self, line: str) -> None:
        self._say(f"  {line}")

    def progress(self, progress: Progress) -> None:
        if self._is_time():
            p = progress
            self._say(
                f"  {p.requests} requests, {p.rate_per_s:.0f}/s, p95 {p.p95_ms:.0f} ms, {p.failed} failed; orders: "
                f"{p.placed} begun, {p.confirmed} confirmed, {p.cancelled} cancelled; {p.acknowledged} acknowledged; "
                f"{p.received} receipts of goods" + (f"; last problem: {p.last_problem}" if p.last_problem else "")
            )

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._told < PLAIN_EVERY_S:
            return False
        self._told = now
        return True

    def _say(self, text: str) -> None:
        self._out.write(f"[{time.monotonic() - self._begun:6.1f} s] {text}")
        self._out.flush()


class GuidedDisplay(PlainDisplay):
    """Says before each stage what comes and why, and waits for Enter; customers keep buying meanwhile."""

    def __init__(self, out: OutputWrapper, wait: Callable[[], object]) -> None:
        super().__init__(out)
        self._wait = wait
        self._is_waiting = False

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[None]:
        self._out.write(f"\n{stage.title}\n  {stage.why[0].upper()}{stage.why[1:]}.\n  Enter to go on, Ctrl-C to end")
        self._out.flush()
        self._is_waiting = True
        try:
            self._wait()
        finally:
            self._is_waiting = False
        with super().stage(stage):
            yield

    def _is_time(self) -> bool:
        return not self._is_waiting and super()._is_time()


def _row(shown: _Shown, *, is_current: bool) -> tuple[Text, Text, Text, Text]:
    if shown.began is None:
        mark, style, seconds = "·", "dim", ""
    elif shown.took_s is None:
        mark, style, seconds = "▸", "bold", f"{time.monotonic() - shown.began:.1f} s"
    elif shown.is_broken:
        mark, style, seconds = "✗", "red", f"{shown.took_s:.1f} s"
    else:
        mark, style, seconds = "✓", "", f"{shown.took_s:.1f} s"
    return (
        Text(mark, style="green" if mark == "✓" else style),
        Text(shown.stage.title, style=style),
        Text(seconds, style="dim", justify="right"),
        Text((shown.detail or shown.stage.why) if is_current else shown.detail, style="dim"),
    )


def _figures(p: Progress) -> Table:
    table = Table.grid(padding=(0, 3))
    table.title = None
    table.add_row()
    table.add_row(
        _figure(p.requests, "requests"),
        _figure(f"{p.rate_per_s:.0f}", "per second"),
        _figure(f"{p.p95_ms:.0f}", "ms p95"),
        _figure(p.failed, "failed", style="bold red" if p.failed else "bold green"),
    )
    table.add_row(
        _figure(p.placed, "orders begun"),
        _figure(p.confirmed, "confirmed"),
        _figure(p.cancelled, "cancelled"),
        _figure(p.received, "receipts of goods"),
    )
    if p.last_problem:
        table.add_row(Text(p.last_problem, style="red"))
    return table


def _figure(value: int | str, label: str, style: str = "bold") -> Text:
    return Text.assemble((str(value), style), f" {label}")
