"""Strings that name another module's code: a dotted path that resolves, or the path of a file."""

from collections.abc import Iterator

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import FILES, IMPORTS, Code

LOGGING = {"getLogger", "get_logger", "debug", "info", "warning", "error", "exception", "critical", "log"}


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """What other rules have judged is left out: it runs last."""
    return (each for each, _ in _named(code, neighbours))


def imported(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """Those alone that are given to a function that imports."""
    return (each for each, called in _named(code, neighbours) if called in IMPORTS or called in FILES)


def _named(code: Code, neighbours: Neighbours) -> Iterator[tuple[Found, str]]:
    """With the name of the function to which each is given."""
    for text in code.texts:
        if text.node.start_byte in code.taken or ("." not in text.value and "/" not in text.value):
            continue
        other = neighbours.resolves(text.value) or neighbours.file(text.value)
        if not other:
            continue
        call = code.around(text.node)
        called = code.called(call) if call is not None else ""
        if called in LOGGING:
            continue
        line, last = code.line(text.node), text.node.end_point[0] + 1
        heard = code.heard(call.node, text.node) if call is not None else ()
        how = f"calls {code.shown(call.node)}" if call is not None else f"names {code.shown(text.node)}"
        yield Found("E202", other, how, line, line, last, heard), called
