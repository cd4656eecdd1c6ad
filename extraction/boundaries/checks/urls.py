"""E305: URLs of one module that another's URL configuration includes or answers. The root's may include all."""

import ast
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from django.conf import settings
from django.urls import URLResolver, get_resolver

from extraction.boundaries.checks.ownership import owner_of_code
from extraction.boundaries.checks.spots import Spot, in_file, line_where
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member
from extraction.boundaries.places import code_of


def findings(house: House) -> Iterator[Finding]:
    """Of the tree below ROOT_URLCONF; what is in no tree answers no request."""
    if getattr(settings, "ROOT_URLCONF", None):
        yield from _Tree(house).below(get_resolver(), None, None)


class _Tree:
    def __init__(self, house: House) -> None:
        self.house = house
        self.seen: set[tuple[int, str]] = set()

    def below(self, resolver: URLResolver, conf: ModuleType | None, owner: Member | None) -> Iterator[Finding]:
        """`owner` is whose branch this is, `conf` the file in which it stands: a list stands where it is included."""
        try:
            inner, patterns = resolver.urlconf_module, resolver.url_patterns
        except Exception as error:  # of the project's own code, whatever it does at import
            yield self._unreadable(resolver, conf, owner, error)
            return
        if isinstance(inner, ModuleType):
            conf, owner = inner, self.house.owner(inner.__name__) or owner
        key = (id(patterns), owner.name if owner else "")
        if key in self.seen or resolver.app_name == "admin":  # the admin's are looked at there
            return
        self.seen.add(key)
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from self._included(pattern, conf, owner)
                yield from self.below(pattern, conf, owner)
            elif owner and conf:
                yield from self._answered(pattern, conf, owner)

    def _included(self, pattern: URLResolver, conf: ModuleType | None, owner: Member | None) -> Iterator[Finding]:
        name = getattr(pattern.urlconf_name, "__name__", pattern.urlconf_name)
        other = self.house.owner(name) if isinstance(name, str) else None
        if owner and conf and other and other is not owner:
            spot = self._spot(conf, str(pattern.pattern), str(name).rpartition(".")[0])
            yield self._finding(spot, owner, other, f"includes {name} under {str(pattern.pattern)!r}")

    def _answered(self, pattern: Any, conf: ModuleType, owner: Member) -> Iterator[Finding]:
        view = pattern.callback
        view = code_of(getattr(view, "view_class", None) or getattr(view, "cls", None) or view)
        other = owner_of_code(self.house, view)
        if other and other is not owner:
            spot = self._spot(conf, str(pattern.pattern), view.__name__)
            yield self._finding(
                spot, owner, other, f"answers {str(pattern.pattern)!r} with {view.__module__}.{view.__qualname__}"
            )

    def _finding(self, spot: Spot, owner: Member, other: Member, what: str) -> Finding:
        return Finding(
            path=spot.path, line=spot.line, code="boundaries.E305", module=owner.name, other=other.name, what=what
        )

    def _spot(self, conf: ModuleType, route: str, name: str) -> Spot:
        """Of the call that says the route and names the other; else of one that does either."""
        file = str(conf.__file__)
        said = [lambda node: _routes(node, route) and name in ast.unparse(node), lambda node: _routes(node, route)]
        lines = (line_where(file, is_it) for is_it in (*said, lambda node: _names(node, name)))
        return in_file(self.house, file, next(filter(None, lines), 0))

    def _unreadable(
        self, resolver: URLResolver, conf: ModuleType | None, owner: Member | None, error: Exception
    ) -> Finding:
        spot = in_file(self.house, str(conf.__file__)) if conf else Spot()
        return Finding(
            path=spot.path,
            line=spot.line,
            code="boundaries.E001",
            module=owner.name if owner else "",
            other="",
            what=f"has URLs that cannot be loaded: {resolver.urlconf_name}: {type(error).__name__}: {error}",
        )


def _routes(node: ast.AST, route: str) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    first = node.args[0]
    return isinstance(first, ast.Constant) and first.value == route


def _names(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and name in ast.unparse(node)
