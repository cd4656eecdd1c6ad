"""Where a model, its fields and other classes stand in the source."""

import ast
import inspect
import site
import sysconfig
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

from django.db import models


@dataclass(frozen=True, slots=True)
class Place:
    """A field in the class that says it, which may be an abstract base."""

    file: Path
    statement: ast.Assign | ast.AnnAssign
    model: ast.ClassDef

    @property
    def call(self) -> ast.Call | None:
        value = self.statement.value
        return value if isinstance(value, ast.Call) else None

    def __str__(self) -> str:
        return f"{shown(self.file)}:{self.statement.lineno}"


def place_of(model: type[Any], field: str) -> Place | None:
    """None where the source is away, or the field is made in another way."""
    for base in model.__mro__:
        if found := class_of(base):
            file, node = found
            for statement in node.body:
                if isinstance(statement, ast.Assign) and any(_is(target, field) for target in statement.targets):
                    return Place(file, statement, node)
                if isinstance(statement, ast.AnnAssign) and _is(statement.target, field):
                    return Place(file, statement, node)
    return None


def class_of(model: type[Any]) -> tuple[Path, ast.ClassDef] | None:
    """The file and the syntax of a class; None where its source is away."""
    if model.__module__ == "builtins" or model is models.Model:
        return None
    try:
        file = Path(inspect.getfile(model)).resolve()
        found = _classes(file, file.stat().st_mtime_ns).get(model.__name__)
    except (TypeError, OSError, SyntaxError, ValueError):
        return None
    return (file, found) if found else None


def is_made_in(module: ModuleType, name: str) -> bool:
    """Whether the module's own file calls something for this name, and does not import it; False where it is away."""
    try:
        file = Path(inspect.getfile(module)).resolve()
        return name in _made(file, file.stat().st_mtime_ns)
    except (TypeError, OSError, SyntaxError, ValueError):
        return False


def code_of(called: Any) -> Any:
    """The function or the class behind what can be called: without decorators, partials, and what it is bound to."""
    while isinstance(called, partial):
        called = called.func
    called = inspect.unwrap(getattr(called, "__func__", called))
    return called if inspect.isfunction(called) or inspect.isclass(called) else type(called)


def is_ours(model: type[models.Model]) -> bool:
    """Whether the model's source is the project's, not that of an installed package."""
    try:
        file = Path(inspect.getfile(model)).resolve()
    except (TypeError, OSError):
        return False
    return not any(file.is_relative_to(folder) for folder in _installed())


def shown(file: Path) -> str:
    """A path as one would type it from here."""
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)


@cache
def _installed() -> tuple[Path, ...]:
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")} | set(site.getsitepackages())
    return tuple(Path(path).resolve() for path in paths if path)


@lru_cache(maxsize=64)
def _classes(file: Path, mtime_ns: int) -> dict[str, ast.ClassDef]:
    """By name, of one version of a file: a project with many keys asks for the same ones again and again."""
    found: dict[str, ast.ClassDef] = {}
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ClassDef):
            found.setdefault(node.name, node)
    return found


@lru_cache(maxsize=64)
def _made(file: Path, mtime_ns: int) -> frozenset[str]:
    return frozenset(
        name.id
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
        if any(isinstance(each, ast.Call) for each in ast.walk(node.value))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    )


def _is(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name
