"""Where a model and its fields stand in the source, and the lines that a change of them writes."""

import ast
import inspect
import site
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.db import models

from extraction.plan.code import narrow


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Lines `line` to `end_line` of a file become `after`; with no `before`, `after` is added behind `line`."""

    file: str
    line: int
    end_line: int
    before: str
    after: str


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


def place_of(model: type[models.Model], field: str) -> Place | None:
    """None where the source is away, or the field is made in another way."""
    for base in model.__mro__:
        if found := _class(base):
            file, node = found
            for statement in node.body:
                if isinstance(statement, ast.Assign) and any(_is(target, field) for target in statement.targets):
                    return Place(file, statement, node)
                if isinstance(statement, ast.AnnAssign) and _is(statement.target, field):
                    return Place(file, statement, node)
    return None


def replace(place: Place, value: str, *, name: str = "") -> Edit:
    """The statement with another value, under another name where one is given; with no value it goes."""
    before = _lines(place.file, place.statement.lineno, place.statement.end_lineno)
    target = place.statement.targets[0] if isinstance(place.statement, ast.Assign) else place.statement.target
    indent = " " * place.statement.col_offset
    if value:
        after = narrow(f"{indent}{name or ast.unparse(target)} = {value}").rstrip("\n")
    else:
        after = f"{indent}pass" if place.model.body == [place.statement] else ""
    return Edit(shown(place.file), place.statement.lineno, place.statement.end_lineno or 0, before, after)


def with_arguments(place: Place, **given: str) -> str:
    """The field's call with these keyword arguments instead of what it has; `on_delete` may stand second."""
    assert place.call is not None
    call = ast.parse(ast.unparse(place.call), mode="eval").body
    assert isinstance(call, ast.Call)
    if "on_delete" in given and len(call.args) > 1:
        del call.args[1]
    kept = [keyword for keyword in call.keywords if keyword.arg not in given]
    new = [ast.keyword(arg=name, value=ast.parse(value, mode="eval").body) for name, value in given.items()]
    call.keywords = [*kept, *new]
    return ast.unparse(call)


def prefix(place: Place) -> str:
    """What stands before the names of `django.db.models` there: mostly `models.`."""
    function = place.call.func if place.call else None
    return f"{ast.unparse(function.value)}." if isinstance(function, ast.Attribute) else ""


def renames_in_meta(model: type[models.Model], renamed: dict[str, str]) -> Iterator[Edit]:
    """The lines of `class Meta` that name these fields."""
    found = _class(model)
    if found is None:
        return
    file, node = found
    metas = [each for each in node.body if isinstance(each, ast.ClassDef) and each.name == "Meta"]
    both = renamed | {f"-{old}": f"-{new}" for old, new in renamed.items()}
    for meta in metas:
        named = [each for each in ast.walk(meta) if isinstance(each, ast.Constant) and each.value in both]
        for line in sorted({each.lineno for each in named}):
            before = after = _lines(file, line, line)
            for each in sorted((each for each in named if each.lineno == line), key=lambda one: -one.col_offset):
                # Columns of the syntax tree are bytes.
                raw = after.encode()
                new = repr(both[str(each.value)]).encode()
                after = (raw[: each.col_offset] + new + raw[each.end_col_offset :]).decode()
            yield Edit(shown(file), line, line, before, after)


def behind(model: type[models.Model], text: str) -> Edit | None:
    """Text behind the class of a model."""
    found = _class(model)
    if found is None:
        return None
    file, node = found
    return Edit(shown(file), node.end_lineno or 0, node.end_lineno or 0, "", text)


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


def _class(model: type[Any]) -> tuple[Path, ast.ClassDef] | None:
    if model.__module__ == "builtins" or model is models.Model:
        return None
    try:
        file = Path(inspect.getfile(model)).resolve()
        tree = ast.parse(file.read_text())
    except (TypeError, OSError, SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name == model.__name__:
            return file, node
    return None


def _is(target: ast.expr, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


def _lines(file: Path, first: int, last: int | None) -> str:
    return "\n".join(file.read_text().splitlines()[first - 1 : last])
