"""Which tables a statement reads and writes, and whose they are: read from its text, not parsed as SQL is.

Seen are tables of models, where `sql` finds a table's name; views and functions hide theirs. Of a text that is longer
than LONGEST only that much is read: what follows there are values. A name that tables of several modules have is the
table's of the written schema, else of the module that the alias serves alone; else it is not seen.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from django.apps import apps

from extraction import project
from extraction.boundaries.sql import Named, named
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


def read(sql: str, *, alone: str = "") -> tuple[frozenset[Table], bool]:
    """Tables of modules that it names, and whether it writes, be it to a table of no model. `alone` as in statement."""
    tables, writes = _read(sql[:LONGEST], alone)
    return tables, writes or (len(sql) > LONGEST and _WRITES_AFTER_WITH.match(sql) is not None)


@of_setting
@lru_cache(maxsize=1024)
def _read(sql: str, alone: str) -> tuple[frozenset[Table], bool]:
    found = list(named(sql))
    tables = frozenset((owner, each.parts[-1]) for each in found if (owner := _owner(each, alone)))
    return tables, any(each.is_written for each in found)


_WRITES_AFTER_WITH = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*+with\b.*\b(?:insert\s+into|update|delete\s+from|merge\s+into)\b", re.I | re.S
)


@of_setting
@lru_cache(maxsize=1024)
def _statement(sql: str, alone: str) -> Statement | None:
    reads: set[Table] = set()
    writes: set[Table] = set()
    for name in _tables(sql):
        if (owner := _owner(name, alone)) is not None:
            (writes if name.is_written else reads).add((owner or alone, name.parts[-1]))
    return Statement(tuple(sorted(reads)), tuple(sorted(writes))) if reads or writes else None


def _owner(name: Named, alone: str) -> str | None:
    """Its module, empty where the model's app is none's; None where no model or several modules have the name."""
    owners = _owners().get(name.parts[-1], {})
    if len(owners) > 1 and len(name.parts) > 1:
        owners = {owner: schemas for owner, schemas in owners.items() if name.parts[-2] in schemas}
    if len(owners) == 1:
        return next(iter(owners))
    return alone if alone in owners else None


@of_setting
@cache
def _owners() -> dict[str, dict[str, set[str]]]:
    """Modules, empty where the app is none's, and the schemas of the table there, by table name: of all models."""
    module_of = {app: module for module in project.modules().values() for app in module.apps}
    found: dict[str, dict[str, set[str]]] = {}
    for config in apps.get_app_configs():
        module = module_of.get(config.name)
        for model in config.get_models(include_auto_created=True):
            if model._meta.proxy:
                continue
            # A name with its schema in it, "schema"."table", is one that some projects give to Django.
            schema, _, table = model._meta.db_table.strip('"').rpartition('"."')
            owners = found.setdefault(table, {})
            owners.setdefault(module.name if module else "", set()).add(schema or (module.schema if module else ""))
    return found


_WORD = re.compile(r"(?:[\s(]|--[^\n]*|/\*.*?\*/)*+(\w+)", re.DOTALL)
_BEGINS = {
    *("select", "insert", "update", "delete", "merge", "with", "values"),
    *("truncate", "copy", "explain", "declare", "lock", "table"),
}
"""What statements that touch rows begin with; the rest is left alone."""


def _tables(sql: str) -> Iterator[Named]:
    """Each name where a table's stands."""
    first = _WORD.match(sql)
    if first is not None and first[1].lower() in _BEGINS:
        yield from named(sql)
