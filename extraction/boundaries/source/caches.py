"""Keys and caches of another module, in Django's cache and django-redis; a client of Redis itself is not followed."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.scopes import functions_around, parameter
from extraction.boundaries.source.syntax import Call, Code

_METHODS = ("get", "set", "add", "get_or_set", "delete", "incr", "decr", "touch", "has_key", "lock")
_OF_REDIS = ("ttl", "expire", "delete_pattern", "keys", "iter_keys")
"""What django-redis adds."""
_MANY = ("get_many", "set_many", "delete_many")
_SEPARATORS = ":./|-_"


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    if b"cache" not in code.data:
        return
    for value, inner in code.subscripts("caches"):
        if (name := code.value(inner)) and (other := _cache(neighbours, name)):
            yield Found("E209", other, f"takes {code.shown(value)}[{code.shown(inner)}]", code.line(value))
    for call in code.calls(*_METHODS, *(f"a{name}" for name in _METHODS), *_OF_REDIS):
        if _is_cache(code, call):
            yield from _of_key(code, neighbours, call, call.argument(0, "key", "pattern", "search"))
    for call in code.calls(*_MANY, *(f"a{name}" for name in _MANY)):
        given = call.argument(0, "keys", "data")
        if given is not None and _is_cache(code, call):
            for each in given.named_children:
                yield from _of_key(code, neighbours, call, each.child_by_field_name("key") or each)
    for text in code.texts:
        other = neighbours.named(text.value.rstrip(_SEPARATORS))
        if other and code.keyword(text.node) == "key_prefix":
            yield Found("E209", other, f"says key_prefix={code.shown(text.node)}", code.line(text.node))


def _of_key(code: Code, neighbours: Neighbours, call: Call, key: Node | None) -> Iterator[Found]:
    for value in code.values(key):
        if set(_SEPARATORS).isdisjoint(value) or neighbours.is_own(value) or not (other := neighbours.begins(value)):
            continue
        code.take(key)
        line = code.line(call.node)
        yield Found("E209", other, f"calls {code.shown(call.node)}", line, line, call.node.end_point[0] + 1)


def _cache(neighbours: Neighbours, name: str) -> str:
    return neighbours.named(name) or neighbours.other(neighbours.claims.aliases, name)


def _is_cache(code: Code, call: Call) -> bool:
    """Called on Django's cache, one of `caches[…]`, or something whose name ends with cache and that may be one."""
    inside = call.function.child_by_field_name("object") if call.function.type == "attribute" else None
    if inside is None:
        return False
    if name := code.name(inside):
        return name.endswith("cache")
    if inside.type == "subscript" or not code.text(inside).lower().endswith("cache"):
        return _is_made(code, inside)
    bound = code.scopes.bound(inside)
    if not bound or any(value is not None and _is_made(code, value) for value in bound):
        return True
    return None in bound and not any(_is_dict(code, function, inside) for function in functions_around(inside))


def _is_dict(code: Code, function: Node, name: Node) -> bool:
    given = parameter(function, code.text(name))
    return given is not None and re.search(r"(?i)dict|mapping", code.text(given)) is not None


def _is_made(code: Code, node: Node, seen: set[int] | None = None) -> bool:
    """Whether it is `caches["default"]` or `get_cache()`; a dict is none, nor is `LRUCache()`."""
    if node.type == "identifier":
        seen = set() if seen is None else seen
        values = [value for value in code.scopes.bound(node) if value is not None and value.id not in seen]
        seen.update(value.id for value in values)
        return any(_is_made(code, value, seen) for value in values)
    made = node.child_by_field_name("value" if node.type == "subscript" else "function")
    return made is not None and code.text(made).endswith(("caches", "_cache"))
