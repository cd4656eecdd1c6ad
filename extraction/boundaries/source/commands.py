"""Management commands of another module."""

from collections.abc import Iterator

from tree_sitter import Node

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Call, Code

_RUNNERS = ("execute_from_command_line", "run", "Popen", "call", "check_call", "check_output")


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """As `call_command` and as a process of `manage.py`."""
    for call in code.calls("call_command"):
        yield from _of(code, neighbours, call, call.argument(0, "command_name"))
    if b"manage.py" not in code.data:
        return
    for call in code.calls(*_RUNNERS):
        given = call.argument(0, "argv", "args")
        for before, after in zip(_parts(given), _parts(given)[1:], strict=False):
            if (code.value(before) or "").endswith("manage.py"):
                yield from _of(code, neighbours, call, after)


def _of(code: Code, neighbours: Neighbours, call: Call, given: Node | None) -> Iterator[Found]:
    if (value := code.value(given)) and (other := neighbours.other(neighbours.claims.commands, value)):
        line = code.line(call.node)
        yield Found("E207", other, f"calls {code.shown(call.node)}", line, line, call.node.end_point[0] + 1)


def _parts(given: Node | None) -> list[Node]:
    return given.named_children if given is not None and given.type in ("list", "tuple") else []
