"""Another module through the package that holds both: `import shop` and then `shop.payments.models`."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.dynamic import IMPORTS, imported
from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    parents = neighbours.claims.parents
    held = {local: dotted for local, dotted in code.names.items() if dotted in parents}
    for call in code.calls(*IMPORTS):
        dotted = imported(code, call)
        if code.called(call) == "__import__" and dotted and call.argument(3, "fromlist") is None:
            dotted = dotted.partition(".")[0]
        if dotted in parents:
            held |= dict.fromkeys(_names_of(code, call.node), dotted)
            yield from _onward(code, neighbours, call.node, dotted)
    for value, inner in code.subscripts("modules"):
        if code.name(value) == "sys.modules" and (dotted := code.value(inner)) in parents and value.parent is not None:
            held |= dict.fromkeys(_names_of(code, value.parent), dotted)
            yield from _onward(code, neighbours, value.parent, dotted)
    for local, dotted in held.items():
        for match in re.finditer(rf"\b{re.escape(local)}\b".encode(), code.data):
            node = code.at(*match.span())
            if node is not None and node.type == "identifier":
                yield from _onward(code, neighbours, node, dotted)


def _onward(code: Code, neighbours: Neighbours, node: Node, dotted: str) -> Iterator[Found]:
    """From a node that stands for a package, along the attributes that are taken of it."""
    outer = node.parent
    if outer is not None and outer.type == "argument_list":
        yield from _of_getattr(code, neighbours, node, dotted)
        return
    while outer is not None and outer.type == "attribute" and outer.child_by_field_name("object") == node:
        attribute = outer.child_by_field_name("attribute")
        dotted = f"{dotted}.{code.text(attribute) if attribute is not None else ''}"
        node, outer = outer, outer.parent
    if (other := neighbours.owner(dotted)) and not _is_imported(code, neighbours, other):
        yield Found("E204", other, f"reaches {code.shown(node)}", code.line(node))


def _of_getattr(code: Code, neighbours: Neighbours, node: Node, dotted: str) -> Iterator[Found]:
    call = code.around(node)
    if call is None or code.called(call) not in ("getattr", "attrgetter") or call.argument(0) != node:
        return
    name = code.value(call.argument(1))
    if name and (other := neighbours.owner(f"{dotted}.{name}")):
        yield Found("E204", other, f"calls {code.shown(call.node)}", code.line(call.node))


def _names_of(code: Code, node: Node) -> Iterator[str]:
    """The name to which a node is bound."""
    outer = node.parent
    left = outer.child_by_field_name("left") if outer is not None and outer.type == "assignment" else None
    if left is not None and left.type == "identifier":
        yield code.text(left)


def _is_imported(code: Code, neighbours: Neighbours, other: str) -> bool:
    """The file says `import shop.payments` too: that is found as an import."""
    return any(neighbours.owner(name) == other for name in code.imported)
