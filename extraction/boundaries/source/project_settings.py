"""Settings of another module: those that begin with its name, in singular or plural.

Django's own settings are nobody's, and so are those that begin as one of Django's does: `EMAIL_…` says nothing of a
module `email`. A setting that begins with this module's name is its own.
"""

import re
from collections.abc import Iterator

from django.conf import global_settings
from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.scopes import functions_around, parameter
from extraction.boundaries.source.syntax import Code

_OF_DJANGO = frozenset(name for name in dir(global_settings) if name.isupper())
_STARTS_OF_DJANGO = frozenset(name.partition("_")[0] for name in _OF_DJANGO)
_ACCESSORS = {"getattr", "hasattr", "setattr", "delattr"}
_OVERRIDES = {"override_settings", "settings", "modify_settings"}
_NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    if b"settings" not in code.data or not neighbours.settings:
        return
    words = "|".join(map(re.escape, neighbours.settings))
    for match in re.finditer(rf"(?<!\w)(?:{words})(?:_[A-Z0-9_]+)?(?!\w)".encode(), code.data):
        other = owner(neighbours, match[0].decode())
        node = code.at(*match.span()) if other else None
        if node is not None and (shown := _use(code, neighbours, node)):
            yield Found("E208", other, shown, code.line(node))


def owner(neighbours: Neighbours, name: str) -> str:
    """Whose setting a name is."""
    if name in _OF_DJANGO:
        return ""
    parts = name.split("_")
    for end in range(len(parts), 0, -1):
        start = "_".join(parts[:end])
        if start in neighbours.own_settings:
            return ""
        if (other := neighbours.settings.get(start, "")) and start not in _STARTS_OF_DJANGO:
            return other
    return ""


def _use(code: Code, neighbours: Neighbours, node: Node) -> str:
    """How a name of a setting is used; empty if it is something else of that name."""
    outer = node.parent
    if outer is None:
        return ""
    if node.type == "identifier" and outer.type == "attribute":
        inside = outer.child_by_field_name("object")
        is_last = outer.child_by_field_name("attribute") == node
        return f"uses {code.shown(outer)}" if is_last and _is_settings(code, neighbours, inside) else ""
    if node.type == "identifier" and outer.type == "keyword_argument" and outer.child_by_field_name("name") == node:
        call = code.around(outer) or code.around(node)
        return f"sets {code.text(node)}" if call is not None and code.called(call) in _OVERRIDES else ""
    if node.type == "identifier" and outer.type == "dotted_name":
        statement = (
            outer.parent if outer.parent is None or outer.parent.type != "aliased_import" else outer.parent.parent
        )
        origin = statement.child_by_field_name("module_name") if statement is not None else None
        is_settings = origin is not None and code.text(origin).rpartition(".")[2] == "settings"
        return f"imports {code.text(node)} from {code.text(origin)}" if is_settings and origin is not None else ""
    if node.type == "string_content":
        call = code.around(outer)
        if call is not None and code.called(call) in _ACCESSORS and _is_settings(code, neighbours, call.argument(0)):
            return f"calls {code.shown(call.node)}"
    return ""


def _is_settings(code: Code, neighbours: Neighbours, node: Node | None) -> bool:
    """Django's, or a file of them that is no module's; or pytest's fixture; or what nothing in the file binds."""
    if node is None:
        return False
    if name := code.name(node):
        return name == "django.conf.settings" or (name.endswith(".settings") and neighbours.house.owner(name) is None)
    is_free = not code.scopes.bound(node)
    return code.text(node) == "settings" and (is_free or any(_is_test(code, each) for each in functions_around(node)))


def _is_test(code: Code, function: Node) -> bool:
    """Whether pytest calls a function, and hands it its fixture of Django's settings."""
    outer = function.parent
    above = code.text(outer).partition("def ")[0] if outer is not None and outer.type == "decorated_definition" else ""
    return parameter(function, "settings") is not None and (
        "fixture" in above or code.text(function).removeprefix("async ").startswith("def test")
    )
