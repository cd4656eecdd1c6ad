"""Who uses what a module publishes: subscribers from the definitions, callers from the source.

Read only when something is about to break. A caller is found in a file that imports the definition, asks `use(…)`, and
has the call's name behind a dot; an error where such a file says its name. What goes by another name is not found.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.apps import apps

from contracts.runtime.definitions import Definition
from contracts.runtime.gate.committed import DEFINITIONS

_NOT_READ = {"tests", "migrations", "__pycache__"}


def users_of(kind: str, name: str, definitions: Mapping[str, Definition]) -> tuple[str, ...]:
    """Subscribers for an event, `modules/orders/service.py:49` for a call or an error; empty where nobody is found."""
    module, _, part = name.partition(".")
    if kind == "event":
        heard = ((who, what) for definition in definitions.values() for who, what in definition.hears.items())
        return tuple(sorted(who for who, what in heard if what == name))
    return tuple(_places(kind, module, part)) if kind in ("call", "error") else ()


def _places(kind: str, module: str, part: str) -> Iterator[str]:
    """Where files of others than the module say the name, each line once."""
    for file in _sources():
        place = file.relative_to(DEFINITIONS.parent)
        source = file.read_text(encoding="utf-8", errors="replace")
        if module in place.parts[:-1] or part not in source:
            continue
        try:
            nodes = list(ast.walk(ast.parse(source)))
        except SyntaxError:
            continue
        if not any(_imports(node, module) for node in nodes) or (kind == "call" and not any(map(_asks, nodes))):
            continue
        lines = {
            node.lineno
            for node in nodes
            if (isinstance(node, ast.Attribute) and node.attr == part)
            or (kind == "error" and isinstance(node, ast.Name) and node.id == part)
        }
        yield from (f"{place.as_posix()}:{line}" for line in sorted(lines))


def _imports(node: ast.AST, module: str) -> bool:
    if isinstance(node, ast.ImportFrom):
        names = {alias.name for alias in node.names}
        return node.module == f"contracts.{module}" or (node.module == "contracts" and module in names)
    return isinstance(node, ast.Import) and any(alias.name == f"contracts.{module}" for alias in node.names)


def _asks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "use"


def _sources() -> Iterator[Path]:
    """The project's own files: of every package that holds an installed app, that of a module that is not here too."""
    root = DEFINITIONS.parent
    packages = {config.name.partition(".")[0] for config in apps.get_app_configs()} - {"contracts", "extraction"}
    for package in sorted(name for name in packages if (root / name).is_dir()):
        for file in sorted((root / package).rglob("*.py")):
            if not _NOT_READ.intersection(file.relative_to(root).parts):
                yield file
