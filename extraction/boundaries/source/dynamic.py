"""Imports by name, and code that no reader can follow."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import FILES, HOLE, IMPORTS, Call, Code, is_import

_RUNS = ("exec", "eval", "compile")
_HARMLESS = {"find_spec"}
_SYS_MODULES = {"get", "pop", "setdefault"}
_NOT_HANDED_ON = {"attribute", "dotted_name", "aliased_import", "expression_statement", "comparison_operator"}


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for call in code.calls(*IMPORTS):
        yield from _of_import(code, neighbours, call)
    for call in code.calls(*FILES):
        given = call.argument(FILES[code.called(call)], "path_name", "path", "location", "pathname")
        if (path := code.value(given)) is not None and HOLE not in path:
            if other := neighbours.file(path):
                code.take(given)
                line, last = code.line(call.node), call.node.end_point[0] + 1
                yield Found("E202", other, f"calls {code.shown(call.node)}", line, line, last)
        elif code.imports(call):
            yield Found("E203", "", f"calls {code.shown(call.node)}, a file that is computed", code.line(call.node))
    for value, inner in code.subscripts("modules"):
        if code.name(value) == "sys.modules":
            yield from _of_key(code, neighbours, inner, f"sys.modules[{code.shown(inner)}]")
    if b"modules" in code.data and b"sys" in code.data:
        for call in code.calls(*_SYS_MODULES):
            inside = call.function.child_by_field_name("object")
            if code.name(inside) == "sys.modules" and (key := call.argument(0)) is not None:
                yield from _of_key(code, neighbours, key, code.shown(call.node))
    for call in code.calls(*_RUNS):
        within = code.around(call.node)
        if code.name(call.function).startswith("builtins.") and (within is None or code.called(within) not in _RUNS):
            yield Found("E203", "", f"calls {code.shown(call.node)}", code.line(call.node))
    for node in _handed_on(code):
        yield Found("E203", "", f"hands on {code.shown(node)}, for whatever will call it", code.line(node))


def _of_import(code: Code, neighbours: Neighbours, call: Call) -> Iterator[Found]:
    name, line, last = code.called(call), code.line(call.node), call.node.end_point[0] + 1
    dotted = code.import_of(call)
    if dotted is not None and dotted.partition(HOLE)[0]:
        kind, owner = ("E202", neighbours.resolves) if name == "import_string" else ("E201", neighbours.owner)
        named = (dotted.replace(":", "."), *_from_list(code, call, dotted))
        if reached := {other for each in named if (other := owner(each))}:
            code.take(call.argument(0, "name", "dotted_path"))
            yield from (Found(kind, other, f"calls {code.shown(call.node)}", line, line, last) for other in reached)
            return
        if neighbours.owner(named[0]):
            return
    if name in _HARMLESS or not code.imports(call) or (dotted is not None and HOLE not in dotted):
        return
    if not _is_settled(code, neighbours, call, dotted):
        yield Found("E203", "", f"calls {code.shown(call.node)}, a name that is computed", line, line, last)


def _of_key(code: Code, neighbours: Neighbours, key: Node, shown: str) -> Iterator[Found]:
    """Of sys.modules. The module of an object or of the file itself is no way to another."""
    dotted, line = code.value(key), code.line(key)
    if dotted is not None and (other := neighbours.owner(dotted)):
        code.take(key)
        yield Found("E201", other, f"takes {shown}", line)
    elif (dotted is None or HOLE in dotted) and not code.text(key).endswith("__module__"):
        yield Found("E203", "", f"takes {shown}, a name that is computed", line)


def _from_list(code: Code, call: Call, dotted: str) -> Iterator[str]:
    """What `__import__("modules", fromlist=["payments"])` names."""
    if code.called(call) != "__import__" or (given := call.argument(3, "fromlist")) is None:
        return
    for each in given.named_children:
        if name := code.value(each):
            yield f"{dotted}.{name}"


def _handed_on(code: Code) -> Iterator[Node]:
    """Where one of these functions is neither called nor given a name that is followed."""
    runs = {*IMPORTS, *FILES, "exec", "eval"} - _HARMLESS
    if not any(word.encode() in code.data for word in runs):
        return
    names = {local: [dotted] for local, dotted in code.names.items()}
    names |= {local: [code.name(value) for _, value in bound] for local, bound in code.scopes.bindings.items()}
    words = {*runs, *(local for local, meant in names.items() if runs & {name.rpartition(".")[2] for name in meant})}
    for match in re.finditer(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b(?!\()".encode(), code.data):
        node = code.at(*match.span())
        if node is None or node.type != "identifier" or node.parent is None:
            continue
        if node.parent.type == "attribute" and node.parent.child_by_field_name("attribute") == node:
            node = node.parent
        name, outer = code.name(node), node.parent
        is_run = name.rpartition(".")[2] in runs and is_import(name)
        if not is_run or outer is None or outer.type in _NOT_HANDED_ON:
            continue
        if outer.child_by_field_name("function") == node or outer.child_by_field_name("name") == node:
            continue
        bindings = (binding for bound in code.scopes.bindings.values() for binding in bound)
        if any(target == node or (value == node and code.name(target) == name) for target, value in bindings):
            continue
        call = code.around(node)
        if call is None or not any(_of_setting(code, each) for each in call.positional):
            yield node


def _is_settled(code: Code, neighbours: Neighbours, call: Call, dotted: str | None) -> bool:
    """A computed name that cannot be another module's: it begins with this one's package, or a setting holds it."""
    if dotted is not None:
        known = dotted.partition(HOLE)[0]
        mine = neighbours.house.owner(known.rstrip("."))
        return known.endswith(".") and mine is neighbours.member
    given = call.argument(0, "name", "dotted_path")
    return given is not None and _of_setting(code, given)


def _of_setting(code: Code, node: Node, known: dict[int, bool] | None = None) -> bool:
    """`settings.X`, `settings.X["y"]`, `settings.X.get("y") or DEFAULT`, one of them: the composition root chose it."""
    known = {} if known is None else known
    if node.id not in known:
        known[node.id] = False  # until it is known: what stands for itself is of no setting
        known[node.id] = _is_chosen(code, node, known)
    return known[node.id]


def _is_chosen(code: Code, node: Node, known: dict[int, bool]) -> bool:
    if node.type == "identifier":
        bound = code.bound(node) or code.looped(node)
        return bound is not None and bound.type != "identifier" and _of_setting(code, bound, known)
    if node.type == "boolean_operator":
        sides = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        return all(side is not None and (_of_setting(code, side, known) or bool(code.value(side))) for side in sides)
    if node.type == "attribute":
        inside = node.child_by_field_name("object")
        return inside is not None and (code.name(inside) == "django.conf.settings" or _of_setting(code, inside, known))
    if node.type == "subscript":
        inside = node.child_by_field_name("value")
        return inside is not None and _of_setting(code, inside, known)
    if node.type == "call":
        function = node.child_by_field_name("function")
        if function is not None and code.text(function) == "getattr":
            arguments = node.child_by_field_name("arguments")
            first = arguments.named_children[0] if arguments is not None and arguments.named_children else None
            return code.name(first) == "django.conf.settings"
        return function is not None and function.type == "attribute" and _of_setting(code, function, known)
    return False
