"""Which tables a statement reads and writes, and whose they are: read from its text, not parsed as SQL is.

A name counts as a table behind FROM, JOIN, INTO, UPDATE and the like, not where a column, an alias, a string or a
comment has it. Seen are tables of models; views and functions hide theirs. Of a text that is longer than LONGEST only
that much is read: what follows there are values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from django.apps import apps

from extraction import project
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
@lru_cache(maxsize=4096)
def _read(sql: str) -> tuple[frozenset[Table], bool]:
    owners, found = _owners(), list(_tables(sql))
    if not found and _DEFINES.match(sql):  # a name may stand anywhere: `alter table x add foreign key (y) references z`
        found = [(name, False) for name in _NAMES.findall(sql)]
    tables = frozenset((owner, name) for name, _ in found if (owner := owners.get(name)))
    return tables, any(is_written for _, is_written in found)


_COMMENTS = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_DEFINES = re.compile(rf"{_COMMENTS}(?:alter|comment|create|drop|refresh)\b", re.I | re.S)
_NAMES = re.compile(r"'(?:[^']|'')*'|(\w+)")
_WRITES_AFTER_WITH = re.compile(
    rf"{_COMMENTS}with\b.*\b(?:insert\s+into|update|delete\s+from|merge\s+into)\b", re.I | re.S
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


_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*'
    | --[^\n]*
    | /\*.*?\*/
    | \$(\w*)\$.*?\$\1\$
    | "(?P<quoted>(?:[^"]|"")+)"
    | (?P<word>[^\W\d][\w$]*)
    | (?P<mark>[.,()])
    """,
    re.VERBOSE | re.DOTALL,
)
_BEGINS = {
    *("select", "insert", "update", "delete", "merge", "with", "values"),
    *("truncate", "copy", "explain", "declare", "lock", "table"),
}
"""What statements that touch rows begin with; the rest is left alone."""
_FOLLOWED_BY_READ = {"from", "join", "using"}
_FOLLOWED_BY_WRITTEN = {"into", "update"}
_FIRST = {"truncate": True, "copy": True, "lock": False, "table": False}
"""Followed by a table where the statement begins with them, and whether they write it; elsewhere they are names."""
_BETWEEN = {"only", "lateral", "table"}
"""May stand between the keyword and the name."""
_ENDS_LIST = {
    *("where", "set", "group", "order", "having", "values", "returning", "limit", "offset"),
    *("union", "except", "intersect", "window", "for", "when", "on"),
}


class _Level:
    """What is known inside one pair of parentheses."""

    __slots__ = ("deletes", "in_list", "names", "selects", "writes")

    def __init__(self, *, names: bool = False) -> None:
        self.names = names
        """A table's name comes next."""
        self.writes = False
        """That table is written."""
        self.in_list = names
        """A comma is followed by another table."""
        self.selects = False
        """FROM names tables here; in `extract(year from x)` it does not."""
        self.deletes = False


def _tables(sql: str) -> Iterator[tuple[str, bool]]:
    """Each name where a table's stands, and whether the statement writes it."""
    levels = [_Level()]
    before, begins = "", True
    tokens = [found for found in _TOKEN.finditer(sql) if found.lastgroup]
    at = 0
    while at < len(tokens):
        found = tokens[at]
        at += 1
        level = levels[-1]
        if mark := found["mark"]:
            if mark == "(":
                if begins:
                    continue
                levels.append(_Level(names=level.names and before != "using"))  # not `join b using (id)`
                level.names = False
            elif mark == ")" and len(levels) > 1:
                levels.pop()
                levels[-1].names = False
            elif mark == ",":
                level.names = level.in_list
            before = mark
            continue
        word = found["word"].lower() if found["word"] else ""
        if begins:
            if word not in _BEGINS:
                return
            begins = False
        if level.names and word not in _BETWEEN and word != "select":
            name = (found["quoted"] or "").replace('""', '"') or word
            while at + 1 < len(tokens) and tokens[at]["mark"] == "." and not tokens[at + 1]["mark"]:
                name = (tokens[at + 1]["quoted"] or "").replace('""', '"') or tokens[at + 1]["word"].lower()
                at += 2
            level.names = False
            before = "name"
            yield name, level.writes
            continue
        if before != "." and word:
            _keyword(level, word, before)
        before = word or "name"


def _keyword(level: _Level, word: str, before: str) -> None:
    if word == "select":
        level.names, level.selects, level.in_list = False, True, False
    elif word == "delete":
        level.deletes = True
    elif word == "from" and level.deletes:
        level.names, level.writes, level.in_list = True, True, False
        level.deletes, level.selects = False, True
    elif word == "from" and (before == "distinct" or not level.selects):
        return  # `is distinct from x`, `extract(year from x)`
    elif word in _FOLLOWED_BY_READ:
        level.names, level.writes, level.in_list = True, False, True
    elif word in _FOLLOWED_BY_WRITTEN:
        if word == "update" and before in ("for", "key", "do", "then"):
            return  # `for no key update`, `on conflict do update`
        level.names, level.writes, level.in_list, level.selects = True, True, False, True
    elif word in _FIRST and not before:
        level.names, level.writes, level.in_list = True, _FIRST[word], True
    elif word in _ENDS_LIST:
        level.names = False
        level.in_list = level.in_list and word == "on"
