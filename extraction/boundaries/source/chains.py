"""Another module through the package that holds both: `import shop` and then `shop.payments.models`."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import IMPORTS, Code


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    parents = neighbours.claims.parents
    called = [call.node for call in code.calls(*IMPORTS)]
    taken = [value.parent for value, _ in code.subscripts("modules") if value.parent is not None]
    starts = [node for node in (*called, *taken) if code.name(node) in parents]
    held = {local for local, dotted in code.names.items() if dotted in parents}
    if starts or held:
        held |= {
            local
            for local, bindings in code.scopes.bindings.items()
            if any(code.name(value) in parents for _, value in bindings)
        }
    for local in held:
        for match in re.finditer(rf"(?<!\w){re.escape(local)}(?!\w)".encode(), code.data):
            node = code.at(*match.span())
            if node is not None and node.type == "identifier" and code.name(node) in parents:
                starts.append(node)
    for node in starts:
        yield from _onward(code, neighbours, node)


def _onward(code: Code, neighbours: Neighbours, node: Node) -> Iterator[Found]:
    """From a node that stands for a package, along what is taken of it."""
    dotted, outer = code.name(node), node
    while outer.parent is not None and not outer.type.endswith("_statement"):
        outer = outer.parent
        name = code.name(outer)
        if name == dotted or name.startswith(f"{dotted.removesuffix('.__dict__')}."):
            node, dotted = outer, name
        elif outer.type != "argument_list":
            break
    if (other := neighbours.owner(dotted)) and not _is_imported(code, neighbours, other):
        how = "calls" if node.type == "call" else "reaches"
        yield Found("E204", other, f"{how} {code.shown(node)}", code.line(node))


def _is_imported(code: Code, neighbours: Neighbours, other: str) -> bool:
    """The file says `import shop.payments` too: that is found as an import."""
    return any(neighbours.owner(name) == other for name in code.imported)
