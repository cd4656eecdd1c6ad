"""A step of the staircase that leads from a project's tables as they are to a module that can leave."""

from dataclasses import dataclass
from typing import Literal

from extraction.plan.edits import Edit
from extraction.plan.migrations_of import File


@dataclass(frozen=True, slots=True)
class Do:
    """`sql` is for who owns the tables or administers the server, `settings` for their end, `shell` is typed."""

    where: Literal["sql", "settings", "shell"]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to write, why, and how to see that it is done."""

    code: str
    title: str
    is_required: bool
    """Before `extract`; else it may come after, or never."""
    why: tuple[str, ...]
    edits: tuple[Edit, ...] = ()
    """Of the project's source."""
    files: tuple[File, ...] = ()
    does: tuple[Do, ...] = ()
    """In this order, after edits and files."""
    done: str
    """How to see that it is done."""
