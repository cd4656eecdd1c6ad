"""Strings that name another module's code: a dotted path that resolves, or the path of a file."""

from collections.abc import Iterator

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

LOGGING = {"getLogger", "get_logger", "debug", "info", "warning", "error", "exception", "critical", "log"}


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    """What other rules have judged is left out: it runs last."""
    for text in code.texts:
        if text.node.start_byte in code.taken or ("." not in text.value and "/" not in text.value):
            continue
        other = neighbours.resolves(text.value) or neighbours.file(text.value)
        if not other:
            continue
        call = code.around(text.node)
        if call is not None and code.called(call) in LOGGING:
            continue
        line = code.line(text.node)
        how = f"calls {code.shown(call.node)}" if call is not None else f"names {code.shown(text.node)}"
        yield Found("E202", other, how, line, line, text.node.end_point[0] + 1)
