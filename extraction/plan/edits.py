"""The lines that a change of a model and its fields writes."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.db import models

from extraction.boundaries.places import Place, class_of, shown
from extraction.plan.code import narrow


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Lines `line` to `end_line` of a file become `after`; with no `before`, `after` is added behind `line`."""

    file: str
    line: int
    end_line: int
    before: str
    after: str


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
    found = class_of(model)
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
    found = class_of(model)
    if found is None:
        return None
    file, node = found
    return Edit(shown(file), node.end_lineno or 0, node.end_lineno or 0, "", text)


def _lines(file: Path, first: int, last: int | None) -> str:
    return "\n".join(file.read_text().splitlines()[first - 1 : last])
