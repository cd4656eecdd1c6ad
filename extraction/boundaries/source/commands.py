"""Management commands of another module."""

import re
from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Call, Code

_RUNNERS = (
    *("execute_from_command_line", "ManagementUtility", "run", "Popen", "call", "check_call", "check_output"),
    *("system", "popen", "getoutput", "getstatusoutput", "create_subprocess_exec", "create_subprocess_shell"),
)
_PROGRAM = re.compile(r"(?:\bmanage\.py|\bdjango-admin|-m\s+django)\s+(\w+)")
_DEEPEST = 10


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """As `call_command` and as a process of `manage.py`."""
    for call in code.calls("call_command"):
        for name in code.values(call.argument(0, "command_name")):
            yield from _of(code, neighbours, call, name)
    if b"manage.py" not in code.data and b"django" not in code.data:
        return
    for call in code.calls(*_RUNNERS):
        given = call.argument(0, "argv", "args", "cmd")
        words = [_word(code, each) for each in (_parts(given) or call.positional)]
        if program := _PROGRAM.search(" ".join(words)):
            yield from _of(code, neighbours, call, program[1])


def _of(code: Code, neighbours: Neighbours, call: Call, name: str) -> Iterator[Found]:
    if other := neighbours.other(neighbours.claims.commands, name):
        heard = code.heard(call.node, call.positional[0] if call.positional else None)
        yield Found("E207", other, f"calls {code.shown(call.node)}", code.line(call.node), heard=heard)


def _word(code: Code, node: Node | None) -> str:
    """What an argument says; a path by its last part: `str(BASE_DIR / "manage.py")`."""
    for _ in range(_DEEPEST):
        if node is None or code.value(node):
            break
        if node.type == "binary_operator":
            node = node.child_by_field_name("right")
        elif node.type == "call":
            arguments = node.child_by_field_name("arguments")
            node = arguments.named_children[-1] if arguments is not None and arguments.named_children else None
        else:
            node = code.bound(node)
    return code.value(node) or ""


def _parts(given: Node | None) -> list[Node]:
    return given.named_children if given is not None and given.type in ("list", "tuple") else []
