"""A page for each module and an index, in Markdown: generated, committed, and checked to be fresh.

Nothing that changes without a change of the source stands in them: no line numbers, no sizes, no home.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from extraction.boundaries.canvas import REST, Canvas, Catalogue, Edge
from extraction.boundaries.mermaid import flowchart

MARK = "<!-- Written by `manage.py modules --write`. -->"
INDEX = "README.md"


class Handwritten(Exception):
    """A page would be written over a file that somebody else wrote."""

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths
        super().__init__(", ".join(map(str, paths)))


def pages(catalogue: Catalogue) -> dict[str, str]:
    """The text of each page by its file name."""
    found = {f"{canvas.name}.md": _text(_page(catalogue, canvas)) for canvas in catalogue.modules}
    return {INDEX: _text(_index(catalogue)), **found}


def write(catalogue: Catalogue, folder: Path) -> list[Path]:
    """Bring the folder up to date; the files that were changed, made or taken away. Raises Handwritten, before that."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = stale(catalogue, folder)
    if foreign := [path for path in changed if path.exists() and MARK not in _read(path)]:
        raise Handwritten(foreign)
    expected = pages(catalogue)
    for path in changed:
        if path.name in expected:
            path.write_text(expected[path.name], encoding="utf-8")
        else:
            path.unlink()
    return changed


def stale(catalogue: Catalogue, folder: Path) -> list[Path]:
    """Pages that are not as they would be written now, that are missing, or whose module is gone."""
    expected = pages(catalogue)
    written = [path for path in folder.glob("*.md") if path.name not in expected and MARK in _read(path)]
    return sorted([*(folder / name for name, text in expected.items() if _read(folder / name) != text), *written])


def _read(path: Path) -> str:
    """Empty where it is not there; what is no UTF-8 was not written by us."""
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _index(catalogue: Catalogue) -> Iterator[str]:
    yield from ("# Modules", "", MARK, "")
    yield "Solid: asks with a call. Dotted: tells with an event, in the direction in which it travels."
    yield from ("", "```mermaid", flowchart(catalogue), "```", "")
    yield from _table(
        ("Module", "Team", "Answers", "Publishes", "Hears", "Owns"),
        [
            (
                f"[{canvas.name}]({canvas.name}.md)",
                _cell(canvas.team),
                _count(len(canvas.offer.calls) if canvas.offer else None, "call"),
                _count(len(canvas.offer.publishes) if canvas.offer else None, "event"),
                _count(len(canvas.offer.hears) if canvas.offer else None, "event"),
                _count(len(canvas.tables), "table"),
            )
            for canvas in catalogue.modules
        ],
    )


def _page(catalogue: Catalogue, canvas: Canvas) -> Iterator[str]:
    yield from (f"# {canvas.name}", "", MARK, "")
    facts = [
        ("Team", _cell(canvas.team)),
        ("Apps", _code(*canvas.apps)),
        ("Database", f"{_code(canvas.alias)}, schema {_code(canvas.schema)}"),
        ("URLs", _code(*canvas.urls)),
        ("Commands", _code(*(f"manage.py {name}" for name in canvas.commands))),
    ]
    yield from _table(("", ""), [(name, what) for name, what in facts if what])
    if canvas.offer is None:
        yield from ("", 'What it offers and asks the project does not say: `EXTRACTION["offers"]`.')
    else:
        yield from ("", "```mermaid", flowchart(catalogue, around=canvas.name), "```")
        yield from _offer(catalogue, canvas)
    yield from ("", "## Owns", "")
    yield from _table(
        ("Table", "Model", ""),
        [(_code(owned.table), _code(owned.model), _cell(owned.does)) for owned in canvas.tables],
    )


def _offer(catalogue: Catalogue, canvas: Canvas) -> Iterator[str]:
    assert canvas.offer is not None
    asked = [edge for edge in catalogue.calls if edge.asked == canvas.name]
    yield from _section(
        "Answers",
        ("Call", "", "Asked by"),
        [
            (_code(str(call)), _cell(call.does), _links(edge for edge in asked if edge.what == call.name))
            for call in canvas.offer.calls
        ],
    )
    heard = [edge for edge in catalogue.events if edge.asked == canvas.name]
    yield from _section(
        "Publishes",
        ("Event", "Fields", "", "Heard by"),
        [
            (
                _code(event.type),
                _code(event.fields),
                _cell(event.does),
                _links(edge for edge in heard if edge.what == event.type),
            )
            for event in canvas.offer.publishes
        ],
    )
    yield from _section(
        "Asks",
        ("Call", "From"),
        [
            (_code(f"{edge.asked}.{edge.what}" if edge.what else edge.asked), _code(*edge.places))
            for edge in catalogue.calls
            if edge.asker == canvas.name
        ],
    )
    yield from _section(
        "Hears",
        ("Event", "As", "In"),
        [(_code(each.event), _code(each.name), _code(each.handler)) for each in canvas.hears],
    )


def _section(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield from ("", f"## {title}", "")
    if rows:
        yield from _table(head, rows)
    else:
        yield "Nothing."


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _links(edges: Iterable[Edge]) -> str:
    names = dict.fromkeys(edge.asker for edge in edges)
    return ", ".join(name if name == REST else f"[{name}]({name}.md)" for name in names)


def _code(*texts: str) -> str:
    return ", ".join(f"`{_cell(text)}`" for text in texts if text)


def _cell(text: str) -> str:
    """A bar ends a cell of GitHub's tables in code too."""
    return text.replace("|", "\\|")


def _count(number: int | None, of: str) -> str:
    return "?" if number is None else f"{number} {of}{'' if number == 1 else 's'}"
