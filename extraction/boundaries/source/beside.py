"""What stands beside the modules: published files, the project's own templates, and helpers.

A published file may know no module, so it is judged as one that owns nothing. A template in a `templates` directory at
the root, or of a package there, is the module's with whose name or label its path begins.

A helper may know all modules, as what composes them does, as long as no module knows it. So it is judged for each
module that imports it, directly or through other helpers, and only where it takes code: that it names some (settings
do), or does something else that a rule finds, is not told; nor are tests and migrations, which no module imports.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member
from extraction.boundaries.import_graph import Imports, all_of, packages_of
from extraction.boundaries.source.claims import TEMPLATES, template_name
from extraction.boundaries.source.files import Unreadable
from extraction.boundaries.source.files import read as data_of
from extraction.boundaries.source.found import Found

NOBODY = Member(name="", packages=(), labels=())
"""Whose a helper is."""
_TAKES = (
    *(b"import_", b"importlib", b"builtins", b"pkgutil", b"pydoc", b"runpy", b"sys.modules", b"sys import"),
    *(b"get_model", b"registered_model", b"by_natural_key", b"app_config", b"all_models", b"app_label"),
    *(b"load_source", b"_meta.label"),
)
"""One of these stands in a file that takes code by its name, or one of `_patterns`."""
_UNREAD = {"tests", "migrations"}


def published(house: House, suffixes: Iterable[str]) -> Iterator[tuple[Member, Path]]:
    """Published files, each with its package as if that were a module."""
    for package in house.published:
        stranger = Member(name=package, packages=(), labels=())
        for path in house.files_of(package, *suffixes):
            yield stranger, path


def pages(house: House) -> Iterator[tuple[Member, Path]]:
    """Templates of the project's own, each with the module that it belongs to."""
    known = {name.lower(): member for member in house.members for name in (member.name, *member.labels)}
    for folder in TEMPLATES:
        for at in sorted((*house.root.glob(folder), *house.root.glob(f"*/{folder}"))):
            for path in sorted(at.rglob("*")):
                first = template_name(path, house.root).partition("/")[0].lower()
                if first in known and house.owner_of(path) is None and path.is_file():
                    yield known[first], path


def helpers(house: House, parents: Iterable[str]) -> Iterator[Path]:
    """Those that may take code by its name. `parents` are packages that hold a module's."""
    patterns = _patterns(house, parents)
    for package in packages_of(house):
        for path in house.files_of(package, ".py"):
            is_read = _UNREAD.isdisjoint(path.relative_to(house.root).parts) and house.owner_of(path) is None
            if is_read and not house.is_published(house.dotted(path)):
                try:
                    data = data_of(path)
                except Unreadable:
                    continue
                if any(word in data for word in _TAKES) or any(each.search(data) for each in patterns):
                    yield path


def reached(house: House, found: Mapping[Path, Iterable[Found]]) -> Iterator[Finding]:
    """What is found in helpers, for each module that they lead elsewhere. Raises Skipped."""
    if not found:
        return
    imports = all_of(house, external=bool(house.published))
    importers: dict[str, list[str]] = {}
    for importer, names in imports.of.items():
        for name in names:
            importers.setdefault(name, []).append(importer)
    for path, all_found in found.items():
        for member, way in _ways(house, importers, house.dotted(path)).items():
            for each in all_found:
                if each.other != member:
                    yield Finding(
                        path=house.shown(path),
                        line=each.line,
                        code=f"boundaries.{each.code}",
                        module=member,
                        other=each.other,
                        what=f"{each.what} in a helper\n{_shown(imports, way)}:{each.line}",
                    )


def _patterns(house: House, parents: Iterable[str]) -> list[re.Pattern[bytes]]:
    """An import of a parent, by its last part, alone or among others; and a model's label."""
    lasts = sorted({parent.rpartition(".")[2] for parent in parents})
    found = [rf"import (?:\([^)]*|[^\n]*)\b{re.escape(last)}\b" for last in lasts]
    found += [rf"{re.escape(label)}\.[A-Z]\w*[\"']" for label in house.by_label]
    return [re.compile(each.encode()) for each in found]


def _ways(house: House, importers: Mapping[str, Iterable[str]], helper: str) -> dict[str, list[str]]:
    """A shortest way to a helper for each module that has one, from its file on."""
    ways: dict[str, list[str]] = {}
    waiting, seen = [[helper]], {helper}
    for way in waiting:  # grows while it is read
        for importer in importers.get(way[0], ()):
            if importer in seen or house.is_published(importer):
                continue
            seen.add(importer)
            if (owner := house.owner(importer)) is None:
                waiting.append([importer, *way])
            else:
                ways.setdefault(owner.name, [importer, *way])
    return ways


def _shown(imports: Imports, way: list[str]) -> str:
    """`modules/orders/service.py:3 → shop/helper.py`."""
    return " → ".join((*imports.places(way), imports.file(way[-1])))
