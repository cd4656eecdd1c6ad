"""The file and the line to which a finding points."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from extraction.boundaries.house import House
from extraction.boundaries.places import class_of, code_of, place_of


class Spot(NamedTuple):
    """As Finding has them."""

    path: str = ""
    line: int = 0


def of(house: House, code: Any) -> Spot:
    """Where a function or a class is written, decorators first."""
    code = code_of(code)
    if inspect.isfunction(code):
        return in_file(house, code.__code__.co_filename, code.__code__.co_firstlineno)
    if found := class_of(code):
        return in_file(house, found[0], found[1].lineno)
    try:
        return in_file(house, inspect.getfile(code))  # a class that no line writes: it was made by a call
    except (TypeError, OSError):
        return Spot()


def of_attribute(house: House, owner: type[Any], name: str) -> Spot:
    """Where a class or a base of it says this; else where the class is written."""
    found = place_of(owner, name)
    return in_file(house, found.file, found.statement.lineno) if found else of(house, owner)


def in_file(house: House, file: str | Path, line: int = 0) -> Spot:
    return Spot(house.shown(Path(file).resolve()), line)


def line_where(file: str | Path, is_it: Callable[[ast.AST], bool]) -> int:
    """Of the first node of a file's syntax that is it; 0 where none is, or the file cannot be read."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0
    return min((node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr) and is_it(node)), default=0)
