"""Flowcharts of modules that GitHub renders: calls are solid, events dotted."""

import re
from collections.abc import Iterable, Iterator

from extraction.boundaries.canvas import REST, Catalogue, Edge

MOST_NAMES = 4
"""On one arrow; the rest is counted."""


def flowchart(catalogue: Catalogue, *, around: str = "") -> str:
    """Of all modules, or of one and those that it knows or that know it."""
    calls = [edge for edge in catalogue.calls if not around or around in (edge.asker, edge.asked)]
    events = [edge for edge in catalogue.events if not around or around in (edge.asker, edge.asked)]
    return "\n".join(_lines(catalogue, calls, events, [around] if around else []))


def node(name: str) -> str:
    """An identifier: `end` and other words of Mermaid's own cannot be one, nor can a hyphen stand in it."""
    return "m_" + re.sub(r"\W", lambda found: f"_{ord(found[0]):x}_", name, flags=re.ASCII)


def quoted(text: str) -> str:
    """Text for a label, between quotes."""
    return '"' + text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;") + '"'


def _lines(catalogue: Catalogue, calls: list[Edge], events: list[Edge], alone: list[str]) -> Iterator[str]:
    yield "flowchart LR"
    teams = {canvas.name: canvas.team for canvas in catalogue.modules}
    named = {name for edge in (*calls, *events) for name in (edge.asker, edge.asked)} - {REST, ""}
    for name in sorted(named | set(alone or teams)):
        label = quoted(f"{name}, {teams[name]}" if teams.get(name) else name)
        yield f"  {node(name)}[{label}]"
    if any(edge.asker == REST for edge in calls):
        yield f"  rest([{quoted(REST)}])"
    for (asker, asked), whats in _grouped((edge.asker, edge.asked, edge.what) for edge in calls):
        yield f"  {'rest' if asker == REST else node(asker)} -->|{_label(whats)}| {node(asked)}"
    # From who tells to who hears, as the event travels.
    for (tells, hears), whats in _grouped((edge.asked, edge.asker, edge.what) for edge in events if edge.asked):
        names = [what.removeprefix(f"{tells}.") for what in whats]
        yield f"  {node(tells)} -.->|{_label(names)}| {node(hears)}"


def _grouped(edges: Iterable[tuple[str, str, str]]) -> list[tuple[tuple[str, str], list[str]]]:
    found: dict[tuple[str, str], list[str]] = {}
    for one, other, what in edges:
        found.setdefault((one, other), []).append(what)
    return sorted(found.items())


def _label(whats: list[str]) -> str:
    shown = [what or "a call" for what in whats[:MOST_NAMES]]
    more = len(whats) - len(shown)
    escaped = [quoted(each)[1:-1] for each in (*shown, *([f"{more} more"] if more else []))]
    return '"' + "<br/>".join(escaped) + '"'
