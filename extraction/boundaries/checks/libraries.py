"""E308: template libraries that cross an edge without a `{% load %}` that a reader could find.

What a template loads by name is read from the templates (E216). Here is what settings and names do: a library that is
built into every template, one that hides another's of the same name, one that registers another's tags as its own.
"""

import sys
from collections.abc import Iterator

from django.template import engines
from django.template.backends.django import DjangoTemplates, get_template_tag_modules

from extraction.boundaries.checks.ownership import owner_of_code
from extraction.boundaries.checks.spots import in_file, of
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House


def findings(house: House) -> Iterator[Finding]:
    """Nothing where the project has no Django templates."""
    try:
        backends = [backend for backend in engines.all() if isinstance(backend, DjangoTemplates)]
        installed = [(name, dotted) for name, dotted in get_template_tag_modules() if house.owner(dotted)]
    except Exception as error:  # of the project's own code, whatever it does at import
        what = f"has template libraries that cannot be loaded: {type(error).__name__}: {error}"
        yield Finding(code="boundaries.E001", module="", other="", what=what)
        return
    for backend in backends:
        yield from _built_in(house, backend)
        yield from _hidden(house, backend, installed)
    for _, dotted in installed:
        yield from _borrowed(house, dotted)


def _built_in(house: House, backend: DjangoTemplates) -> Iterator[Finding]:
    for dotted in backend.engine.builtins:
        if owner := house.owner(dotted):
            what = f"has a template library that is built into every template: {dotted}"
            yield _finding(house, dotted, owner.name, "", what)


def _hidden(house: House, backend: DjangoTemplates, installed: list[tuple[str, str]]) -> Iterator[Finding]:
    for name, dotted in installed:
        winner = backend.engine.libraries.get(name, dotted)
        owner, other = house.owner(dotted), house.owner(winner)
        if owner and other and owner is not other:
            what = f"has a template library {name!r} that {winner} hides: its templates load the other's tags"
            yield _finding(house, dotted, owner.name, other.name, what, "give the library a name of its own")


def _borrowed(house: House, dotted: str) -> Iterator[Finding]:
    register, owner = getattr(sys.modules.get(dotted), "register", None), house.owner(dotted)
    for kind in ("tags", "filters"):
        for name, function in getattr(register, kind, {}).items():
            other = owner_of_code(house, function)
            if owner and other and other is not owner:
                what = f"registers {name!r} of another module in {dotted}: {of(house, function).path}"
                yield _finding(house, dotted, owner.name, other.name, what)


def _finding(house: House, dotted: str, module: str, other: str, what: str, instead: str = "") -> Finding:
    file = getattr(sys.modules.get(dotted), "__file__", None)
    path = in_file(house, file).path if file else ""
    return Finding(path=path, code="boundaries.E308", module=module, other=other, what=what, instead=instead)
