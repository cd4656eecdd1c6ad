"""Permissions on another module's models: rows that its migrations make, and that go when it goes."""

from collections.abc import Iterator

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import Code

_CALLS = {"permission_required", "has_perm", "has_perms", "ahas_perm", "ahas_perms"}


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for text in code.texts:
        label, _, name = text.value.partition(".")
        other = neighbours.other(neighbours.claims.namespaces, label) if name.isidentifier() else ""
        if not other:
            continue
        call = code.around(text.node)
        if (call is not None and code.called(call) in _CALLS) or code.keyword(text.node) == "permission_required":
            yield Found("E205", other, f"asks for the permission {text.value}", code.line(text.node))
