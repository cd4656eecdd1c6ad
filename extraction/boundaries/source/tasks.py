"""Tasks of another module by their names."""

from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import HOLE, Code

_CALLS = ("send_task", "signature", "subtask", "Signature")
_LINKS = {"link", "link_error"}
_LINKED = {*_CALLS, "apply_async", "set", "retry", "clone", "s", "si"}
"""Calls of Celery's that take a link; `Button(link="payments.html")` is none."""


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for call in code.calls(*_CALLS):
        given = call.argument(0, "name", "task", "varies")
        if other := _owner(code, neighbours, given):
            code.take(given)
            line = code.line(call.node)
            yield Found("E214", other, f"calls {code.shown(call.node)}", line, heard=code.heard(call.node, given))
    for value, inner in code.subscripts("tasks"):
        if other := _owner(code, neighbours, inner):
            code.take(inner)
            yield Found("E214", other, f"takes {code.shown(value)}[{code.shown(inner)}]", code.line(value))
    for text in code.texts:
        if text.node.start_byte in code.taken or "." not in text.value:
            continue
        if (other := _owner(code, neighbours, text.node)) and _is_task(code, text.node):
            code.take(text.node)
            yield Found("E214", other, f"names the task {code.shown(text.node)}", code.line(text.node))


def _is_task(code: Code, node: Node) -> bool:
    keyword, within = code.keyword(node), code.around(node)
    return keyword == "task" or (keyword in _LINKS and within is not None and code.called(within) in _LINKED)


def _owner(code: Code, neighbours: Neighbours, node: Node | None) -> str:
    """By the package or the label with which a task's name begins."""
    for value in code.values(node):
        if "." not in value.partition(HOLE)[0]:
            continue
        label = value.partition(".")[0]
        if other := neighbours.owner(value) or neighbours.other(neighbours.claims.namespaces, label):
            return other
    return ""
