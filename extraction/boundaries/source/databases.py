"""Another module's database: its alias, where Django takes one, and what the environment says of it.

A variable of the environment is a module's as a setting is, by its beginning: `PAYMENTS_DATABASE_URL` is its database,
`PAYMENTS_KEY` a setting of it.
"""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.project_settings import owner
from extraction.boundaries.source.syntax import Code

_CALLS = ("atomic", "using", "db_manager", "get_connection", "get_autocommit", "set_autocommit", "savepoint", "durable")
_KEYWORD = re.compile(rb"(?<![\w.])(?:using|database|databases)(?=\s*(?::[^=\n]*)?=[^=])")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_OF_DATABASE = {"DATABASE", "DB", "DSN", "POSTGRES", "POSTGRESQL", "PG", "MYSQL"}
_ENVIRONMENT = re.compile(r"(?:\w+\.)*(?:environ|env|getenv)(?:\.\w+)?|(?:dj_database_url\.|decouple\.)?config")


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    yield from _of_environment(code, neighbours)
    aliases = neighbours.claims.aliases
    if not any(alias.encode() in code.data for alias in aliases):
        return
    for call in code.calls(*_CALLS):
        given = call.positional[0] if call.positional else None
        if other := _owner(code, neighbours, given):
            heard = code.heard(call.node, given)
            yield Found("E215", other, f"calls {code.shown(call.node)}", code.line(call.node), heard=heard)
    for value, inner in code.subscripts("connections", "databases", "DATABASES"):
        if other := _owner(code, neighbours, inner):
            yield Found("E215", other, f"takes {code.shown(value)}[{code.shown(inner)}]", code.line(value))
    for call in code.calls("get"):
        of = code.text(call.function).removesuffix(".get").rpartition(".")[2]
        given = call.argument(0) if of in ("databases", "DATABASES") else None
        if other := _owner(code, neighbours, given):
            heard = code.heard(call.node, given)
            yield Found("E215", other, f"calls {code.shown(call.node)}", code.line(call.node), heard=heard)
    for match in _KEYWORD.finditer(code.data):
        name_node = code.at(*match.span())
        outer = name_node.parent if name_node is not None and name_node.type == "identifier" else None
        if outer is None or outer.type not in ("keyword_argument", "assignment"):
            continue
        given = outer.child_by_field_name("value" if outer.type == "keyword_argument" else "right")
        within = code.around(given) if given is not None and outer.type == "keyword_argument" else None
        for each in _each(given):
            if other := _owner(code, neighbours, each):
                heard = code.heard(within.node, each) if within is not None else (code.line(each),)
                yield Found("E215", other, f"says {code.shown(outer)}", code.line(outer), heard=heard)


def _of_environment(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for text in code.texts:
        if not _VARIABLE.fullmatch(text.value) or not (other := owner(neighbours, text.value)):
            continue
        outer, call = text.node.parent, code.around(text.node)
        if outer is not None and outer.type == "subscript":
            taken, of = outer, outer.child_by_field_name("value")
        elif call is not None:
            taken, of = call.node, call.function
        else:
            continue
        if of is not None and _ENVIRONMENT.fullmatch(code.name(of) or code.text(of)):
            is_database = not _OF_DATABASE.isdisjoint(text.value.split("_"))
            yield Found("E215" if is_database else "E208", other, f"takes {code.shown(taken)}", code.line(text.node))


def _owner(code: Code, neighbours: Neighbours, node: Node | None) -> str:
    others = (neighbours.other(neighbours.claims.aliases, name) for name in code.values(node))
    return next(filter(None, others), "")


def _each(given: Node | None) -> list[Node]:
    if given is None:
        return []
    return given.named_children if given.type in ("list", "set", "tuple") else [given]
