"""Another module's models by their labels: from Django's registry of apps, in a call or a comparison.

A label that a relation names (`ForeignKey("payments.Payment")`) is left to the checks, which know what it became.
"""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.dotted import LOGGING
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.scopes import functions_around, parameter
from extraction.boundaries.source.syntax import HOLE, Call, Code, Text

_CALLS = ("get_model", "get_registered_model", "get_app_config", "get_by_natural_key")
_TABLES = ("all_models", "app_configs")
_MODEL = re.compile(r"\w+\.[A-Z]\w*")
"""A model's label as it is written; in lower case it may be the name of an event or a permission."""
_SAYS_ONLY = {*LOGGING, *_CALLS, "cast"}
_ASKED = re.compile(
    r"(?s).*(?:\.app_label|_meta\.label(?:_lower)?)|.*_meta\.(?P<of>model_name|object_name|db_table)|sender\.(?P<name>__name__)"
)
"""What tells which model a signal's sender or a found model is."""
_GROUPS = ("list", "tuple", "set", "parenthesized_expression", "case_pattern", "union_pattern")
_NO_LOOKUP = ("Field", "Key", "Relation", "Error")
"""Ends of names of what is made of a label, and does not look it up."""


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for call in code.calls(*_CALLS):
        first = call.argument(0, "app_label")
        other = _owner(code, neighbours, first)
        if other and (_is_of_registry(code, call.function) or _is_model(code, neighbours, call)):
            code.take(first)
            heard = code.heard(call.node, first)
            yield Found("E205", other, f"calls {code.shown(call.node)}", code.line(call.node), heard=heard)
    for value, inner in code.subscripts(*_TABLES):
        if _is_of_registry(code, value) and (other := _owner(code, neighbours, inner)):
            yield Found("E205", other, f"takes {code.shown(value)}[{code.shown(inner)}]", code.line(value))
    for text in code.texts:
        if text.node.start_byte not in code.taken:
            yield from _of_text(code, neighbours, text)


def _of_text(code: Code, neighbours: Neighbours, text: Text) -> Iterator[Found]:
    within, line = code.around(text.node), code.line(text.node)
    if code.keyword(text.node) == "app_label":
        if (other := neighbours.named(text.value)) and (within is None or code.called(within) not in _CALLS):
            how = f"says app_label = {code.shown(text.node)}" if within is None else f"calls {code.shown(within.node)}"
            heard = code.heard(within.node, text.node) if within is not None else ()
            yield Found("E205", other, how, line, heard=heard)
    elif (compared := _compared(code, text.node)) is not None:
        outer, asked = compared
        if other := _whose(code, neighbours, text, asked):
            yield Found("E205", other, f"compares {code.shown(outer)}", line)
    elif within is not None and _MODEL.fullmatch(text.value):
        called = code.called(within)
        other = neighbours.other(neighbours.claims.tables, text.value.replace(".", "_").lower())
        if other and called not in _SAYS_ONLY and not called.endswith(_NO_LOOKUP):
            heard = code.heard(within.node, text.node)
            yield Found("E205", other, f"calls {code.shown(within.node)}", line, heard=heard)


def _owner(code: Code, neighbours: Neighbours, node: Node | None) -> str:
    """Whose label an argument begins with: `payments`, `payments.Payment`."""
    labels = (value.partition(".")[0] for value in code.values(node))
    others = (neighbours.other(neighbours.claims.namespaces, label) for label in labels if HOLE not in label)
    return next(filter(None, others), "")


def _is_of_registry(code: Code, function: Node) -> bool:
    """Whether a name is Django's, an attribute of something called apps, or of what a migration hands its function."""
    inside = function.child_by_field_name("object")
    if inside is None:
        text = code.text(function)
        return text in code.names or not code.is_bound(text)
    if name := code.name(inside):
        return "apps" in name.split(".")
    text = code.text(inside)
    around = next(functions_around(inside), None)
    is_given = around is not None and parameter(around, text) is not None
    return text.endswith("apps") or (is_given and around is not None and parameter(around, "schema_editor") is not None)


def _is_model(code: Code, neighbours: Neighbours, call: Call) -> bool:
    """Whether a call names a model of another's in full."""
    label, _, model = (code.value(call.argument(0, "app_label")) or "").partition(".")
    model = model or code.value(call.argument(1, "model_name", "model")) or ""
    return bool(neighbours.other(neighbours.claims.tables, f"{label}_{model}".lower()))


def _compared(code: Code, node: Node) -> tuple[Node, str] | None:
    """The comparison of a string with what _ASKED knows, and what of the model that asks besides its label.

    The string may be a `case`, or stand in a constant that is compared.
    """
    outer = node.parent
    while outer is not None and outer.type in _GROUPS:
        outer = outer.parent
    if outer is None or outer.type == "assignment":
        left = outer.child_by_field_name("left") if outer is not None else None
        if left is None or left.type != "identifier":
            return None
        uses = re.finditer(rb"\b%s\b" % re.escape(code.text(left).encode()), code.data)
        names = (each for use in uses if (each := code.at(*use.span())) is not None)
        compared = (
            _compared(code, name) for name in names if name.parent and name.parent.type == "comparison_operator"
        )
        return next(filter(None, compared), None)
    sides = outer.named_children if outer.type == "comparison_operator" else []
    if outer.type == "case_clause" and outer.parent is not None and outer.parent.parent is not None:
        sides = outer.parent.parent.children_by_field_name("subject")
    for side in sides:
        bound = code.bound(side) if side.type == "identifier" else None
        if asks := _ASKED.fullmatch(code.text(side if bound is None else bound)):
            return outer if outer.type == "comparison_operator" else side, asks["of"] or asks["name"] or ""
    return None


def _whose(code: Code, neighbours: Neighbours, text: Text, asked: str) -> str:
    """By a label; by a table; by a model's name alone, if this module has none of that name."""
    if not asked:
        return _owner(code, neighbours, text.node)
    tables = neighbours.claims.tables
    if asked == "db_table":
        return neighbours.other(tables, text.value)
    model = text.value.lower()
    if any(f"{label}_{model}" in tables for label in neighbours.member.labels):
        return ""
    labels = (label for other in neighbours.others for label in other.labels)
    return next((other for label in labels if (other := neighbours.other(tables, f"{label}_{model}"))), "")
