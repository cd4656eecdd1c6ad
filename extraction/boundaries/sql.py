"""Where SQL names tables: read from its text by position, not parsed as SQL is.

A name counts as a table behind FROM, JOIN, INTO, UPDATE and the like, and where CREATE, ALTER, GRANT and their kind
take one; not where a column, an alias, a query of WITH, a string or a comment has it. What is filled in later (`%s`,
`{}`, U+FFFC) stands for a name too, and a text may begin in the middle of a statement.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple


class Named(NamedTuple):
    parts: tuple[str, ...]
    """With the schema, if it has one; in lower case unless it is quoted."""
    is_written: bool
    """Rows of it."""
    keyword: str
    """Behind which it stands, in lower case."""
    start: int
    end: int


_TOKEN = re.compile(
    r"""
      "(?P<quoted>(?:[^"]|"")+)"
    | (?P<word>[^\W\d][\w$\ufffc]*|\ufffc[\w$\ufffc]*|%s|%\(\w+\)s|\{\w*\})
    | (?P<mark>[.,();*])
    | '(?:[^']|'')*'
    | --[^\n]*
    | /\*.*?\*/
    | \$((?:[^\W\d]\w*)?)\$.*?\$\4\$
    """,
    re.VERBOSE | re.DOTALL,
)
_DEFINES = {"create", "alter", "drop", "comment", "refresh", "reindex"}
_PRIVILEGES = {"grant", "revoke"}
_READ = {"from", "join"}
_FIRST = {"truncate": True, "copy": True, "lock": False, "analyze": False}
"""Followed by a table where a statement begins with them, and whether they write it; elsewhere they are names."""
_STARTS = {"", "begin", "then", "else", "loop"}
"""Before the first word of a statement, in the body of a function too."""
_DEFINED = {"on", "references", "inherit", "inherits", "like", "view", "sequence", "index"}
_DEFINED_PAIRS = {("partition", "of"), ("owned", "by"), ("attach", "partition"), ("detach", "partition")}
_BETWEEN = {"only", "lateral", "table", "column", "sequence", "if", "not", "exists", "concurrently"}
"""May stand between the keyword and the name."""
_NEVER = {
    *(
        "select",
        "insert",
        "update",
        "delete",
        "values",
        "with",
        "set",
        "on",
        "to",
        "from",
        "of",
        "by",
        "as",
        "or",
        "and",
    ),
    *("in", "is", "where", "using", "for", "all", "order", "group", "user"),
}
"""Words that are no names unless they are quoted."""
_ENDS_LIST = {
    *("where", "set", "group", "order", "having", "values", "returning", "limit", "offset"),
    *("union", "except", "intersect", "window", "for", "when", "on"),
}
_KEYWORDS = {
    *("select", "perform", "with", "recursive", "delete", "using", "into", "update", "table", "of", "by", "to"),
    *(*_READ, *_FIRST, *_DEFINED, *_ENDS_LIST, "partition"),
}


class _Level:
    """What is known inside one pair of parentheses."""

    __slots__ = (
        *("names", "keyword", "writes", "in_list", "selects", "deletes", "joins"),
        *("in_with", "recursive", "cte", "query"),
    )

    def __init__(self, *, names: bool = False, keyword: str = "", query: str = "") -> None:
        self.names = names
        """A table's name comes next, behind this keyword."""
        self.keyword = keyword
        self.writes = False
        """That table is written."""
        self.in_list = names
        """A comma is followed by another table."""
        self.selects = False
        """FROM names tables here; in `extract(year from x)` it does not."""
        self.deletes = False
        self.joins = False
        """ON names a condition here, and no table."""
        self.in_with = self.recursive = False
        self.cte = ""
        """The query of WITH that comes next."""
        self.query = query
        """The one that this is."""

    def expect(self, keyword: str, *, writes: bool = False, more: bool = False) -> None:
        self.names, self.keyword, self.writes, self.in_list = True, keyword, writes, more


def named(sql: str) -> Iterator[Named]:
    """Each name where a table's stands, in the order of the text."""
    levels = [_Level()]
    verb = before = ""
    queries: set[str] = set()
    tokens = [found for found in _TOKEN.finditer(sql) if found.lastgroup]
    at = 0
    while at < len(tokens):
        found = tokens[at]
        at += 1
        level = levels[-1]
        if mark := found["mark"]:
            if mark == ";":
                levels, verb, mark = [_Level()], "", ""
                queries.clear()
            elif mark == "(" and verb:
                is_query = level.in_with and before in ("as", "materialized")
                if is_query and level.recursive:
                    queries.add(level.cte)
                opens = level.names and before in ("from", "join", "only", "inherits", "like", ",", "(")
                levels.append(_Level(names=opens, keyword=level.keyword, query=level.cte if is_query else ""))
                level.names = False
            elif mark == ")" and len(levels) > 1:
                queries.add(levels.pop().query)
                levels[-1].names = False
            elif mark == ",":
                level.names = level.in_list
            before = mark
            continue
        word = found["word"].lower() if found["word"] else ""
        if not verb:
            verb = "" if word == "begin" else word or "name"
            level.selects = verb not in _DEFINES
        if level.names and word not in _BETWEEN:
            level.names = False
            if word not in _NEVER:
                parts, end = [_name(found)], found.end()
                while at + 1 < len(tokens) and _continues(tokens[at], tokens[at + 1]):
                    parts.append(_name(tokens[at + 1]))
                    end = tokens[at + 1].end()
                    at += 2
                before = "name"
                if len(parts) > 1 or parts[0] not in queries:
                    yield Named(tuple(parts), level.writes, level.keyword, found.start(), end)
                continue
        if level.in_with and before in ("with", "recursive", ",") and word != "recursive":
            level.cte = _name(found)
        elif before != "." and word in _KEYWORDS and not level.names:
            _keyword(level, word, before, verb)
        before = word or "name"


def _keyword(level: _Level, word: str, before: str, verb: str) -> None:
    if verb in _PRIVILEGES:
        level.in_list = word == "on"
        if word == "on":
            level.expect(word, more=True)
    elif word in ("select", "perform"):
        level.names, level.selects, level.in_list, level.in_with = False, True, False, False
    elif word == "with":
        level.in_with = True
    elif word == "recursive":
        level.recursive = True
    elif word == "delete":
        level.deletes, level.in_with = True, False
    elif word == "from" and level.deletes:
        level.expect(word, writes=True)
        level.deletes, level.selects = False, True
    elif word == "from" and (before == "distinct" or not level.selects):
        return  # `is distinct from x`, `extract(year from x)`
    elif word in _READ or (word == "using" and level.selects):
        level.expect(word, more=True)
        level.joins = True
    elif word == "into" or (word == "update" and before not in ("for", "key", "on")):
        level.expect(word, writes=True)
        level.selects, level.in_with = True, False
    elif word in _FIRST and before in _STARTS:
        level.expect(word, writes=_FIRST[word], more=True)
    elif word == "table":
        level.expect(word, more=verb != "alter")
    elif verb in _DEFINES and not level.joins and (word in _DEFINED or (before, word) in _DEFINED_PAIRS):
        if not level.selects or word == "on":
            level.expect(word, more=verb == "drop")
    elif word in _ENDS_LIST:
        level.names = False
        level.in_list = level.in_list and word == "on"


def _name(found: re.Match[str]) -> str:
    return found["quoted"].replace('""', '"') if found["quoted"] else found["word"].lower()


def _continues(mark: re.Match[str], name: re.Match[str]) -> bool:
    return mark["mark"] == "." and not name["mark"] and name.start() == mark.end()
