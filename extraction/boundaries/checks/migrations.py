"""E307: migrations that wait for another module's, or make it wait.

Only those files are loaded that name another module's label or a model that settings choose: a plain `check` of a
project with hundreds of migrations would feel the rest.
"""

import ast
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.db.migrations.loader import MigrationLoader

from extraction.boundaries.checks.spots import in_file, line_where
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member

INSTEAD = "take the relation away; a history that still tells of it is forgotten by squashing these migrations"


def findings(house: House) -> Iterator[Finding]:
    """As MIGRATION_MODULES says where they stand; of an app without migrations nothing."""
    for label, member in house.by_label.items():
        names = [name for name, other in house.by_label.items() if other is not member]
        for dotted, file in _files(label):
            text = file.read_bytes()
            if b"swappable_dependency" in text or any(_named(name, text) for name in names):
                yield from _waits(house, member, dotted, file)


def _files(label: str) -> Iterator[tuple[str, Path]]:
    package, _ = MigrationLoader.migrations_module(label)
    try:
        spec = find_spec(package) if package else None
    except ModuleNotFoundError:  # django.test's stand-in for "no migrations" names what is not there
        spec = None
    for folder in (spec.submodule_search_locations if spec else None) or ():
        for file in sorted(Path(folder).glob("[!_~]*.py")):
            yield f"{package}.{file.stem}", file


def _named(label: str, text: bytes) -> bool:
    return f'"{label}"'.encode() in text or f"'{label}'".encode() in text


def _waits(house: House, member: Member, dotted: str, file: Path) -> Iterator[Finding]:
    try:
        migration: Any = import_module(dotted).Migration
    except Exception as error:  # of the project's own code, whatever it does at import
        spot = in_file(house, file, getattr(error, "lineno", 0) or 0)
        what = f"has a migration that cannot be loaded: {type(error).__name__}: {error}"
        yield Finding(path=spot.path, line=spot.line, code="boundaries.E001", module=member.name, other="", what=what)
        return
    for how, pairs in (("waits for", migration.dependencies), ("comes before", migration.run_before)):
        for label, name in pairs:
            other = house.by_label.get(label)
            if other is None or other is member:
                continue
            spot = in_file(house, file, _line(file, label, name))
            yield Finding(
                path=spot.path,
                line=spot.line,
                code="boundaries.E307",
                module=member.name,
                other=other.name,
                what=f"{how} the migration {label}.{name}",
                instead=INSTEAD,
            )


def _line(file: Path, label: str, name: str) -> int:
    def is_pair(node: ast.AST) -> bool:
        return isinstance(node, ast.Tuple) and [getattr(each, "value", None) for each in node.elts] == [label, name]

    def is_swappable(node: ast.AST) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "swappable_dependency"

    return line_where(file, is_pair) or line_where(file, is_swappable)
