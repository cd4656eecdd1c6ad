"""Another module's models from Django's registry of apps, or its app label on a model or a query."""

from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import HOLE, Code

_CALLS = ("get_model", "get_registered_model", "get_app_config", "get_by_natural_key")
_TABLES = ("all_models", "app_configs")


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for call in code.calls(*_CALLS):
        first = call.argument(0, "app_label")
        if other := _owner(code, neighbours, first):
            code.take(first)
            line = code.line(call.node)
            yield Found("E205", other, f"calls {code.shown(call.node)}", line, line, call.node.end_point[0] + 1)
    for value, inner in code.subscripts(*_TABLES):
        if other := _owner(code, neighbours, inner):
            yield Found("E205", other, f"takes {code.shown(value)}[{code.shown(inner)}]", code.line(value))
    for text in code.texts:
        if not (other := neighbours.named(text.value)) or code.keyword(text.node) != "app_label":
            continue
        within = code.around(text.node)
        if within is None:
            yield Found("E205", other, f"says app_label = {code.shown(text.node)}", code.line(text.node))
        elif code.called(within) not in _CALLS:
            yield Found("E205", other, f"calls {code.shown(within.node)}", code.line(text.node))


def _owner(code: Code, neighbours: Neighbours, node: Node | None) -> str:
    """Whose label an argument begins with: `payments`, `payments.Payment`."""
    value = code.value(node)
    label = (value or "").partition(".")[0]
    return neighbours.other(neighbours.claims.namespaces, label) if label and HOLE not in label else ""
