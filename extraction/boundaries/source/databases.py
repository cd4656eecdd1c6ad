"""Another module's database: its alias, where Django takes one."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

_CALLS = ("atomic", "using", "db_manager", "get_connection", "get_autocommit", "set_autocommit", "savepoint", "durable")
_KEYWORD = re.compile(rb"(?<![\w.])(?:using|database|databases)(?=\s*(?::[^=\n]*)?=[^=])")


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    aliases = neighbours.claims.aliases
    if not any(alias.encode() in code.data for alias in aliases):
        return
    for call in code.calls(*_CALLS):
        given = call.positional[0] if call.positional else None
        if (name := code.value(given)) and (other := neighbours.other(aliases, name)):
            yield Found("E215", other, f"calls {code.shown(call.node)}", code.line(call.node))
    for value, inner in code.subscripts("connections", "databases"):
        if (name := code.value(inner)) and (other := neighbours.other(aliases, name)):
            yield Found("E215", other, f"takes {code.shown(value)}[{code.shown(inner)}]", code.line(value))
    for match in _KEYWORD.finditer(code.data):
        name_node = code.at(*match.span())
        outer = name_node.parent if name_node is not None and name_node.type == "identifier" else None
        if outer is None or outer.type not in ("keyword_argument", "assignment"):
            continue
        given = outer.child_by_field_name("value" if outer.type == "keyword_argument" else "right")
        for each in _each(given):
            if (name := code.value(each)) and (other := neighbours.other(aliases, name)):
                yield Found("E215", other, f"says {code.shown(outer)}", code.line(outer))


def _each(given: Node | None) -> list[Node]:
    if given is None:
        return []
    return given.named_children if given.type in ("list", "set", "tuple") else [given]
