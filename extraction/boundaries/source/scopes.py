"""What the names of a file are bound to, in the scope in which they are bound.

Assignments, alone, in tuples and by `:=`. A parameter, a loop and a `with` bind a name to what reading does not tell.
Scopes are those of functions; what a class binds counts as the file's.
"""

import re
from collections.abc import Iterator
from functools import cached_property

import tree_sitter_python
from tree_sitter import Language, Node, Query, QueryCursor

LANGUAGE = Language(tree_sitter_python.language())

Value = Node | None
"""What a name is bound to; None where reading does not tell."""

_BINDINGS = Query(
    LANGUAGE,
    """
    (assignment left: (_) @bound right: (_))
    (named_expression name: (identifier) @bound)
    (for_statement left: (_) @opaque)
    (as_pattern_target (identifier) @opaque)
    """,
)
_PARAMETERS = Query(LANGUAGE, "[(parameters) (lambda_parameters)] @parameters")
_FUNCTIONS = ("function_definition", "lambda")
_PATTERNS = ("pattern_list", "tuple_pattern", "list_pattern")
_TUPLES = ("expression_list", "tuple", "list")
_WORD = re.compile(rb"\w+")
_FILE = 0
"""In place of the id of a function, for what none binds."""


class Scopes:
    """Of the file with this root."""

    def __init__(self, root: Node) -> None:
        self._root = root
        self._by_function: dict[str, dict[int, list[Value]]] = {}

    @cached_property
    def bindings(self) -> dict[str, list[tuple[Node, Value]]]:
        """By name: where it is bound, and to what. `self.KEY` is a name too."""
        found: dict[str, list[tuple[Node, Value]]] = {}
        for kind, nodes in QueryCursor(_BINDINGS).captures(self._root).items():
            for left in nodes:
                for target, value in _pairs(left, _right(left) if kind == "bound" else None):
                    found.setdefault(_text(target), []).append((target, value))
        return found

    def bound(self, name: Node) -> list[Value]:
        """All that a name is bound to in the nearest scope that binds it; of `self.KEY`, anywhere."""
        text = _text(name)
        if name.type != "attribute":
            return self.local(name) or self._within(text).get(_FILE, [])
        names = (text, text.partition(".")[2]) if text.startswith(("self.", "cls.")) else (text,)
        return [value for each in names for _, value in self.bindings.get(each, ())]

    def local(self, name: Node) -> list[Value]:
        """The same, where that scope is a function."""
        text = _text(name)
        if text in self.bindings or text in self._parameters:
            for function in functions_around(name):
                if found := self._within(text).get(function.id):
                    return found
                if parameter(function, text) is not None:
                    return [None]
        return []

    def _within(self, name: str) -> dict[int, list[Value]]:
        """The values of a name by the function that binds it."""
        if name not in self._by_function:
            found = self._by_function[name] = {}
            for target, value in self.bindings.get(name, ()):
                function = next(functions_around(target), None)
                found.setdefault(_FILE if function is None else function.id, []).append(value)
        return self._by_function[name]

    @cached_property
    def _parameters(self) -> frozenset[str]:
        """Words in all lists of parameters."""
        lists = QueryCursor(_PARAMETERS).captures(self._root).get("parameters", ())
        return frozenset(word.decode(errors="replace") for each in lists for word in _WORD.findall(each.text or b""))


def functions_around(node: Node) -> Iterator[Node]:
    """The functions and lambdas that hold a node, the innermost first."""
    outer = node.parent
    while outer is not None:
        if outer.type in _FUNCTIONS:
            yield outer
        outer = outer.parent


def parameter(function: Node, name: str) -> Node | None:
    """A function's parameter of this name, with its type and its default."""
    parameters = function.child_by_field_name("parameters")
    for each in parameters.named_children if parameters is not None else ():
        word = _WORD.search(each.text or b"")
        if word is not None and word[0].decode(errors="replace") == name:
            return each
    return None


def _right(left: Node) -> Value:
    outer = left.parent
    return outer and (outer.child_by_field_name("right") or outer.child_by_field_name("value"))


def _pairs(left: Node, right: Value) -> Iterator[tuple[Node, Value]]:
    """Each name with its value, of `a, (b, c) = 1, f()`."""
    if left.type not in _PATTERNS:
        yield left, right
        return
    targets = left.named_children
    values = right.named_children if right is not None and right.type in _TUPLES else []
    for index, target in enumerate(targets):
        yield from _pairs(target, values[index] if len(values) == len(targets) else None)


def _text(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")
