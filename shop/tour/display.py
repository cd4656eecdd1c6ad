"""What a tour shows while it goes: a live picture on a terminal, plain lines elsewhere."""

import time
from collections.abc import Iterator
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

PLAIN_EVERY_S = 5.0


class Display(Protocol):
    def __enter__(self) -> "Display": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def stage(self, name: str) -> AbstractContextManager[None]:
        """Around a stage of the tour; an exception marks it as not done."""
        ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """Around a part of the current stage."""
        ...

    def detail(self, text: str) -> None:
        """What the current stage is doing now; may be called more often than it is shown."""
        ...

    def progress(self, progress: Progress) -> None:
        """How the load stands."""
        ...


@dataclass
class _Stage:
    name: str
    began: float | None = None
    took_s: float | None = None
    is_broken: bool = False
    detail: str = ""


class LiveDisplay:
    """Stages with ticks, and the figures of the load, redrawn in place."""

    def __init__(self, console: Console, stages: tuple[str, ...]) -> None:
        self._stages = {name: _Stage(name) for name in stages}
        self._current: _Stage | None = None
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
    def stage(self, name: str) -> Iterator[None]:
        self._current = stage = self._stages[name]
        stage.began = time.monotonic()
        try:
            yield
        except BaseException:
            stage.is_broken = True
            raise
        finally:
            stage.took_s = time.monotonic() - stage.began

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.detail(name)
        yield
        self.detail("")

    def detail(self, text: str) -> None:
        if self._current is not None:
            self._current.detail = text

    def progress(self, progress: Progress) -> None:
        self._progress = progress

    def _render(self) -> Group:
        stages = Table.grid(padding=(0, 2))
        for stage in self._stages.values():
            stages.add_row(*_row(stage))
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
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self._say(f"{name} …")
        try:
            yield
        except BaseException:
            self._say(f"{name}: not done")
            raise
        self._say(f"{name}: done in {time.monotonic() - began:.1f} s")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"  {name}: {time.monotonic() - began:.1f} s")

    def detail(self, text: str) -> None:
        if self._is_time():
            self._say(f"  {text}")

    def progress(self, progress: Progress) -> None:
        if self._is_time():
            p = progress
            self._say(
                f"  {p.requests} requests, {p.rate_per_s:.0f}/s, p95 {p.p95_ms:.0f} ms, {p.failed} failed; orders: "
                f"{p.placed} begun, {p.confirmed} confirmed, {p.cancelled} cancelled; {p.acknowledged} acknowledged"
                + (f"; last problem: {p.last_problem}" if p.last_problem else "")
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


def _row(stage: _Stage) -> tuple[Text, Text, Text, Text]:
    if stage.began is None:
        mark, style, seconds = "·", "dim", ""
    elif stage.took_s is None:
        mark, style, seconds = "▸", "bold", f"{time.monotonic() - stage.began:.1f} s"
    elif stage.is_broken:
        mark, style, seconds = "✗", "red", f"{stage.took_s:.1f} s"
    else:
        mark, style, seconds = "✓", "", f"{stage.took_s:.1f} s"
    return (
        Text(mark, style="green" if mark == "✓" else style),
        Text(stage.name, style=style),
        Text(seconds, style="dim", justify="right"),
        Text(stage.detail, style="dim"),
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
        _figure(p.acknowledged, "acknowledged"),
    )
    if p.last_problem:
        table.add_row(Text(p.last_problem, style="red"))
    return table


def _figure(value: int | str, label: str, style: str = "bold") -> Text:
    return Text.assemble((str(value), style), f" {label}")
