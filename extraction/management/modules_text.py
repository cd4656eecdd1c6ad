"""The modules for a terminal, 80 columns wide."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from extraction.boundaries.canvas import REST, Canvas, Catalogue, Edge
from extraction.boundaries.sizes import Size, size
from extraction.placement.where import Place

WIDTH = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the database of a module says now; why not, where it does not answer."""

    place: Place | None
    sizes: tuple[Size, ...]
    why_not: str


def overview(catalogue: Catalogue, found: Mapping[str, Found], unit: str) -> Iterator[str]:
    """All modules, a line each, and who knows whom."""
    rows = [("module", "team", "lives in", "tables", "rows", "size")]
    for canvas in catalogue.modules:
        of = found[canvas.name]
        rows.append(
            (
                canvas.name,
                canvas.team or "-",
                of.place.home if of.place else "?",
                str(len(of.sizes) or len(canvas.tables)),
                _rows(of.sizes) if of.sizes else "?",
                size(sum(each.bytes for each in of.sizes)) if of.sizes else "?",
            )
        )
    yield f"Modules of {unit}"
    yield from _aligned(rows, right=3)
    yield from _edges("Calls", "asks", "call", [(edge.asker, edge.asked, edge) for edge in catalogue.calls])
    yield from _edges("Events", "tells", "event", [(edge.asked or "?", edge.asker, edge) for edge in catalogue.events])
    if not any(canvas.offer for canvas in catalogue.modules):
        yield ""
        yield from _item('Who asks whom the project does not say: EXTRACTION["offers"].', indent=0)
    yield from _unread(found)


def details(canvas: Canvas, catalogue: Catalogue, found: Found) -> Iterator[str]:
    """One module, with each place that asks."""
    yield f"{canvas.name}{f', of team {canvas.team}' if canvas.team else ''}"
    where = "not known" if found.place is None else f"{found.place.home}, epoch {max(0, found.place.epoch)}"
    facts = [
        ("lives in", where),
        ("database", f"{canvas.alias}, schema {canvas.schema}"),
        ("apps", ", ".join(canvas.apps)),
        ("urls", ", ".join(canvas.urls)),
        ("commands", ", ".join(canvas.commands)),
    ]
    for name, what in facts:
        if what:
            yield from textwrap.wrap(
                what, WIDTH, initial_indent=f"  {name:<10}", subsequent_indent=" " * 12, break_on_hyphens=False
            )
    if canvas.offer is None:
        yield ""
        yield from _item('What it offers and asks the project does not say: EXTRACTION["offers"].', indent=0)
    else:
        yield from _offer(canvas, catalogue)
    yield from _owned(canvas, found)
    yield from _unread({canvas.name: found})


def _offer(canvas: Canvas, catalogue: Catalogue) -> Iterator[str]:
    assert canvas.offer is not None
    yield from _titled("Answers", canvas.offer.calls)
    for call in canvas.offer.calls:
        yield from _item(str(call))
        if call.does:
            yield from _item(call.does, indent=6)
        yield from _by("asked by", (e for e in catalogue.calls if e.asked == canvas.name and e.what == call.name))
    yield from _titled("Publishes", canvas.offer.publishes)
    for event in canvas.offer.publishes:
        yield from _item(f"{event.type}({event.fields})")
        if event.does:
            yield from _item(event.does, indent=6)
        yield from _by("heard by", (e for e in catalogue.events if e.asked == canvas.name and e.what == event.type))
    yield from _titled("Asks", canvas.offer.asks)
    yield from _aligned(
        [
            (f"{ask.module}.{ask.call}" if ask.call else ask.module, f"{ask.path}:{ask.line}")
            for ask in canvas.offer.asks
        ]
    )
    yield from _titled("Hears", canvas.offer.hears)
    for hearing in canvas.offer.hears:
        yield from _item(f"{hearing.event} → {hearing.name}")
        if hearing.handler:
            yield from _item(hearing.handler, indent=6)


def _owned(canvas: Canvas, found: Found) -> Iterator[str]:
    yield from ("", "Owns")
    model_of = {owned.table: owned.model for owned in canvas.tables}
    size_of = {each.table: each for each in found.sizes}
    rows = [("table", "model", "rows", "size")]
    for table in sorted(model_of.keys() | size_of.keys()):
        of = size_of.get(table)
        rows.append(
            (table, model_of.get(table, ""), _rows([of]) if of else "?", size(of.bytes) if of else "?"),
        )
    yield from _aligned(rows, right=2)
    if found.sizes:
        yield "  Rows are what the last ANALYZE estimated; ? was never analyzed."


def _edges(title: str, verb: str, what: str, edges: list[tuple[str, str, Edge]]) -> Iterator[str]:
    if not edges:
        return
    yield from ("", title)
    rows = [("who", verb, what, "where" if verb == "asks" else "heard as")]
    for one, other, edge in sorted(edges, key=_first):
        rows.append(("(the rest)" if one == REST else one, other, edge.what or "?", ", ".join(edge.places)))
    yield from _aligned(rows)


def _first(edge: tuple[str, str, Edge]) -> tuple[bool, str, str]:
    return edge[0] == REST, edge[0], edge[1]


def _by(verb: str, edges: Iterable[Edge]) -> Iterator[str]:
    for edge in edges:
        yield from _item(f"{verb} {edge.asker}: {', '.join(edge.places)}", indent=6)


def _titled(title: str, contents: tuple[object, ...]) -> Iterator[str]:
    yield ""
    yield title if contents else f"{title} nothing"


def _unread(found: Mapping[str, Found]) -> Iterator[str]:
    unread: dict[str, list[str]] = {}
    for name, of in found.items():
        if of.why_not:
            unread.setdefault(of.why_not, []).append(name)
    if unread:
        yield from ("", "Left out")
        for why_not, names in unread.items():
            yield from _item(f"{', '.join(names)}: {why_not}")
    gone = [name for name, of in found.items() if of.place and of.sizes and not of.place.here]
    if gone:
        yield ""
        yield from _item(f"{', '.join(gone)}: rows and size are those of the tables here, not of its home.", indent=0)


def _rows(sizes: Iterable[Size]) -> str:
    known = [each.rows for each in sizes]
    return "?" if None in known else f"~{sum(rows for rows in known if rows):,}"


def _aligned(rows: Sequence[tuple[str, ...]], *, right: int = 0) -> Iterator[str]:
    """Columns as wide as they need to be, the last `right` of them flush right; what is too long for the last one goes
    on below."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            f"{cell:>{width}}" if column >= len(row) - right else f"{cell:<{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  " + "  ".join(cells).rstrip()
        if len(line) <= WIDTH or right:
            yield line
            continue
        head = "  " + "  ".join(cells[:-1]) + "  "
        if len(head) > WIDTH // 2 + 10:  # nothing fits beside it
            yield head.rstrip()
            head = " " * 6
        yield from textwrap.wrap(
            row[-1],
            WIDTH,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        )


def _item(text: str, indent: int = 2) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )
