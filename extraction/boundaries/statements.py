"""Which tables a statement reads and writes, and whose they are: read from its text, not parsed as SQL is.

Seen are tables of models, where `sql` finds a table's name; views and functions hide theirs. Of a text that is longer
than LONGEST only that much is read: what follows there are values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from django.apps import apps

from extraction import project
from extraction.boundaries.sql import named
from extraction.project import of_setting

LONGEST = 16_384
"""Characters."""

Table = tuple[str, str]
"""The module, empty where it is none's, and the table's name."""


@dataclass(frozen=True, slots=True)
class Statement:
    """Tables of models that it names, sorted."""

    reads: tuple[Table, ...]
    writes: tuple[Table, ...]


def statement(sql: str, *, alone: str = "") -> Statement | None:
    """None where it names no table of a model, or is none that reads or writes rows.

    `alone` is the module that an alias serves and no other: what else stands there, an outbox, is the module's too.
    """
    return _statement(sql[:LONGEST], alone)


def read(sql: str) -> tuple[frozenset[Table], bool]:
    """Tables of modules that it names, and whether it writes, be it to a table of no model."""
    tables, writes = _read(sql[:LONGEST])
    return tables, writes or (len(sql) > LONGEST and _WRITES_AFTER_WITH.match(sql) is not None)


@of_setting
@lru_cache(maxsize=1024)
def _read(sql: str) -> tuple[frozenset[Table], bool]:
    owners, found = _owners(), list(named(sql))
    tables = frozenset((owner, each.parts[-1]) for each in found if (owner := owners.get(each.parts[-1])))
    return tables, any(each.is_written for each in found)


_WRITES_AFTER_WITH = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*with\b.*\b(?:insert\s+into|update|delete\s+from|merge\s+into)\b", re.I | re.S
)


@of_setting
@lru_cache(maxsize=1024)
def _statement(sql: str, alone: str) -> Statement | None:
    reads: set[Table] = set()
    writes: set[Table] = set()
    owners = _owners()
    for name, is_written in _tables(sql):
        if name in owners:
            (writes if is_written else reads).add((owners[name] or alone, name))
    return Statement(tuple(sorted(reads)), tuple(sorted(writes))) if reads or writes else None


@of_setting
@cache
def _owners() -> dict[str, str]:
    """Module by table name, of all models; empty where the app is no module's."""
    owner = {app: module.name for module in project.modules().values() for app in module.apps}
    return {
        # A name with its schema in it, "schema"."table", is one that some projects give to Django.
        model._meta.db_table.rpartition('"."')[2]: owner.get(config.name, "")
        for config in apps.get_app_configs()
        for model in config.get_models(include_auto_created=True)
        if not model._meta.proxy
    }


_WORD = re.compile(r"(?:[\s(]|--[^\n]*|/\*.*?\*/)*(\w+)", re.DOTALL)
_BEGINS = {
    *("select", "insert", "update", "delete", "merge", "with", "values"),
    *("truncate", "copy", "explain", "declare", "lock", "table"),
}
"""What statements that touch rows begin with; the rest is left alone."""


def _tables(sql: str) -> Iterator[tuple[str, bool]]:
    """Each name where a table's stands, and whether the statement writes it."""
    first = _WORD.match(sql)
    if first is not None and first[1].lower() in _BEGINS:
        for name in named(sql):
            yield name.parts[-1], name.is_written
