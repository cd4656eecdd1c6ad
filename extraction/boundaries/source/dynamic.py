"""Imports by name, and code that no reader can follow."""

from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import HOLE, Call, Code

IMPORTS = ("import_module", "__import__", "find_spec", "run_module", "resolve_name", "locate", "import_string")
_ANY_OBJECT = {"import_module", "__import__", "import_string"}
"""Imports whose name says so, whatever module they come from; the others have to come from one that is imported."""
_HARMLESS = {"find_spec"}
_SYS_MODULES = {"get", "pop", "setdefault"}


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """`import_string` of what is known is left to the rule of strings."""
    for call in code.calls(*IMPORTS):
        yield from _of_import(code, neighbours, call)
    for value, inner in code.subscripts("modules"):
        if code.name(value) == "sys.modules":
            yield from _of_key(code, neighbours, inner, f"sys.modules[{code.shown(inner)}]")
    if b"modules" in code.data and b"sys" in code.data:
        for call in code.calls(*_SYS_MODULES):
            inside = call.function.child_by_field_name("object")
            if code.name(inside) == "sys.modules" and (key := call.argument(0)) is not None:
                yield from _of_key(code, neighbours, key, code.shown(call.node))
    for call in code.calls("exec", "eval"):
        name = code.called(call)
        is_plain = call.function.type == "identifier" and code.text(call.function) == name and not code.is_bound(name)
        if (is_plain and not _is_parameter(code, call)) or code.name(call.function) == f"builtins.{name}":
            yield Found("E203", "", f"calls {code.shown(call.node)}", code.line(call.node))


def imported(code: Code, call: Call) -> str | None:
    """The dotted name that a call imports, with HOLE where reading does not tell; None where it tells nothing."""
    named = code.value(call.argument(0, "name", "import_name", "fullname", "mod_name", "dotted_path", "path"))
    if named is None:
        return None
    dots = len(named) - len(named.lstrip("."))
    if not dots:
        return named
    base = code.value(call.argument(1, "package"))
    if base is None or HOLE in base:
        return None
    parts = base.split(".")
    return ".".join([*parts[: len(parts) - dots + 1], named.lstrip(".")])


def _of_import(code: Code, neighbours: Neighbours, call: Call) -> Iterator[Found]:
    name, line, last = code.called(call), code.line(call.node), call.node.end_point[0] + 1
    dotted = imported(code, call)
    if dotted is not None and dotted.partition(HOLE)[0]:
        others = {dotted: neighbours.owner(dotted.replace(":", "."))}
        others |= {each: neighbours.owner(each) for each in _from_list(code, call, dotted)}
        if reached := {other for other in others.values() if other}:
            if name != "import_string":
                code.take(call.argument(0, "name"))
                yield from (
                    Found("E201", other, f"calls {code.shown(call.node)}", line, line, last) for other in reached
                )
            return
    if name in _HARMLESS or not _imports(code, call, name) or (dotted is not None and HOLE not in dotted):
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


def _imports(code: Code, call: Call, name: str) -> bool:
    """Whether a call of this name is an import: not a method of the code's own."""
    if call.function.type == "identifier":
        text = code.text(call.function)
        return (text in code.names or not code.is_bound(text)) and (name in _ANY_OBJECT or text in code.names)
    return bool(code.name(call.function))


def _is_settled(code: Code, neighbours: Neighbours, call: Call, dotted: str | None) -> bool:
    """A computed name that cannot be another module's: it begins with this one's package, or a setting holds it."""
    if dotted is not None:
        known = dotted.partition(HOLE)[0]
        mine = neighbours.house.owner(known.rstrip("."))
        return known.endswith(".") and mine is neighbours.member
    given = call.argument(0, "name", "dotted_path")
    return given is not None and _of_setting(code, given)


def _of_setting(code: Code, node: Node) -> bool:
    """`settings.X`, `settings.X["y"]`, `settings.X.get("y") or DEFAULT`, one of them: the composition root chose it."""
    if node.type == "identifier":
        bound = code.bound(node) or code.looped(node)
        return bound is not None and bound.type != "identifier" and _of_setting(code, bound)
    if node.type == "boolean_operator":
        sides = (node.child_by_field_name("left"), node.child_by_field_name("right"))
        return all(side is not None and (_of_setting(code, side) or bool(code.value(side))) for side in sides)
    if node.type == "attribute":
        inside = node.child_by_field_name("object")
        return inside is not None and (code.name(inside) == "django.conf.settings" or _of_setting(code, inside))
    if node.type == "subscript":
        inside = node.child_by_field_name("value")
        return inside is not None and _of_setting(code, inside)
    if node.type == "call":
        function = node.child_by_field_name("function")
        if function is not None and code.text(function) == "getattr":
            arguments = node.child_by_field_name("arguments")
            first = arguments.named_children[0] if arguments is not None and arguments.named_children else None
            return code.name(first) == "django.conf.settings"
        return function is not None and function.type == "attribute" and _of_setting(code, function)
    return False


def _is_parameter(code: Code, call: Call) -> bool:
    """Whether a function around the call has a parameter of its name."""
    outer = call.node.parent
    while outer is not None:
        parameters = outer.child_by_field_name("parameters") if outer.type == "function_definition" else None
        if parameters is not None and any(
            code.text(each).partition(":")[0].partition("=")[0].strip() == code.text(call.function)
            for each in parameters.named_children
        ):
            return True
        outer = outer.parent
    return False
