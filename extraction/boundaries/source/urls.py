"""URLs of another module by their names."""

import re
from collections.abc import Iterator

from extraction.boundaries.source.found import Found
from extraction.boundaries.source.neighbours import Neighbours
from extraction.boundaries.source.syntax import HOLE, Code

_CALLS = ("reverse", "reverse_lazy", "redirect", "resolve_url")
_KEYWORDS = {"view_name", "pattern_name", "url_name", "login_url", "success_url", "next_page"}
_ADMIN = re.compile(r"admin:(\w+)_[a-z]+$")


def found(code: Code, neighbours: Neighbours) -> Iterator[Found]:
    for call in code.calls(*_CALLS):
        given = call.argument(0, "viewname", "to")
        line, heard = code.line(call.node), code.heard(call.node, given)
        for value in code.values(given):
            if other := owner(neighbours, value):
                code.take(given)
                yield Found("E206", other, f"calls {code.shown(call.node)}", line, heard=heard)
    for text in code.texts:
        keyword = code.keyword(text.node)
        if keyword in _KEYWORDS and (other := owner(neighbours, text.value)):
            code.take(text.node)
            yield Found("E206", other, f"says {keyword} = {code.shown(text.node)}", code.line(text.node))


def owner(neighbours: Neighbours, name: str) -> str:
    """Whose URL a name is: by its namespaces, by the model of an admin page, by a URL conf without one."""
    claims = neighbours.claims
    if admin := _ADMIN.match(name):
        return neighbours.other(claims.tables, admin[1])
    *namespaces, last = name.split(":")
    if not namespaces:
        return "" if HOLE in last else neighbours.other(claims.urls, last)
    if neighbours.member.name in claims.namespaces.get(namespaces[0], ()):
        return ""
    return next((other for each in namespaces if (other := neighbours.other(claims.namespaces, each))), "")
