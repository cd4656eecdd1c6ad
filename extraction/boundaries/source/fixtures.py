"""Rows of another module in a fixture, and fixtures of another module where code loads them."""

import re
from collections.abc import Iterator
from pathlib import Path

from tree_sitter import Node

from extraction.boundaries.source.files import lines
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

_MODEL = {
    ".json": re.compile(rb'"model"\s*:\s*"(?P<label>\w+)\.(?P<model>\w+)"'),
    ".yaml": re.compile(
        rb"""(?:^[ \t-]*|[{,][ \t]*)["']?model["']?\s*:\s*["']?(?P<label>\w+)\.(?P<model>\w+)""", re.MULTILINE
    ),
    ".xml": re.compile(rb"""<object\b[^>]*?\bmodel\s*=\s*["'](?P<label>\w+)\.(?P<model>\w+)["']"""),
}
_MODEL[".jsonl"], _MODEL[".yml"] = _MODEL[".json"], _MODEL[".yaml"]
SUFFIXES = tuple(_MODEL)
YAML = (".yaml", ".yml")
_COMMENT = re.compile(rb"^[ \t]*#.*", re.MULTILINE)
_LISTED = re.compile(rb"(?<![\w.])fixtures(?=\s*(?::[^=\n]*)?=[^=])")


def in_file(data: bytes, path: Path, neighbours: Neighbours) -> Iterator[Found]:
    """One finding for each model, at its first row."""
    rows: dict[str, int] = {}
    first: dict[str, tuple[int, str]] = {}
    for line, match in lines(_COMMENT.sub(b"", data) if path.suffix in YAML else data, _MODEL[path.suffix]):
        label, model = match["label"].decode(), match["model"].decode().lower()
        if other := neighbours.other(neighbours.claims.namespaces, label):
            rows[f"{label}.{model}"] = rows.get(f"{label}.{model}", 0) + 1
            first.setdefault(f"{label}.{model}", (line, other))
    for name, (line, other) in first.items():
        yield Found("E217", other, f"holds {rows[name]} {'row' if rows[name] == 1 else 'rows'} of {name}", line)


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """`call_command("loaddata", …)` and the `fixtures` of a TestCase."""
    for call in code.calls("call_command"):
        if code.value(call.argument(0)) == "loaddata":
            for each in call.positional[1:]:
                yield from _of_name(code, neighbours, each, f"calls {code.shown(call.node)}")
    for match in _LISTED.finditer(code.data) if b"fixtures" in code.data else ():
        node = code.at(*match.span())
        outer = node.parent if node is not None and node.type == "identifier" else None
        given = outer.child_by_field_name("right") if outer is not None and outer.type == "assignment" else None
        for each in given.named_children if given is not None and given.type in ("list", "tuple", "set") else ():
            yield from _of_name(code, neighbours, each, f"loads the fixture {code.shown(each)}")


def _of_name(code: Code, neighbours: Neighbours, node: Node, what: str) -> Iterator[Found]:
    name = (code.value(node) or "").rpartition("/")[2]
    if name and (other := neighbours.other(neighbours.claims.fixtures, name)):
        code.take(node)
        yield Found("E217", other, what, code.line(node))
