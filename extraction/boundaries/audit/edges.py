"""What hangs on what across an edge of the modules, as PostgreSQL knows it, and as the texts of functions say it.

A text is not parsed. A name counts with its schema; without one where a table's stands, if the search_path leads there
that the function sets, else in the function's own schema and public. A literal counts where it is executed at once,
begins as a statement, or names a sequence or relation; no other does, and a name put together of pieces is not seen.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from psycopg import sql

from extraction.boundaries.audit.databases import Database
from extraction.boundaries.sql import named

_NAME = r'"(?:[^"]|"")+"|\w+'
_PAIR = re.compile(rf'(?<![\w.$"])({_NAME})\s*\.\s*({_NAME})')
"""A name with its schema; or a field of a record, which no relation is called like."""
_ASIDE = re.compile(
    r"""
      (?P<name>"(?:[^"]|"")+")
    | --[^\n]*
    | /\*.*?\*/
    | (?P<runs>\b(?:execute(?:\s*\(?\s*format)?|nextval|currval|setval|to_regclass)\s*\(?\s*)?
      (?P<literal>\be'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$)
      (?P<refers>\s*::\s*reg\w+)?
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
"""What says nothing of tables, and literals."""
_STATEMENT = re.compile(
    r"\s*(?:select\b.*\bfrom|insert\s+into|update\s+\S+\s+set|delete\s+from|merge\s+into|truncate)\s",
    re.IGNORECASE | re.DOTALL,
)
_QUOTE = re.compile("['\"]")
_SCHEMA = re.compile(rf"{_NAME}|[^\s,]+")
HANGS = "which hangs on the"
_HOLDS = "which holds the rows of the"
_SAYS = {"names": "whose text names the", "is": "which stands for the"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Of a thing to another module's, or to and from what is no module's and lets something pass: a view, a rule, a
    trigger, a function, a foreign table."""

    module: str | None
    other: str | None
    head: str
    target: str
    what: str
    """What hangs: a trigger, where `head` is its table."""
    on: str
    through: str
    """The head, by its name."""
    lends: str
    """With whose rights one passes; see audit.sql."""
    how: str = HANGS


Outside = Mapping[str, list[Edge]]
"""The edges of what is no module's, by head."""


def edges_of(database: Database) -> list[Edge]:
    """Raises psycopg.Error."""
    return [
        *(Edge(**row._asdict(), how=_HOLDS) for row in database.all("heirs")),
        *(Edge(**row._asdict()) for row in database.all("dependencies")),
        *_of_texts(database),
    ]


def outside(edges: list[Edge]) -> Outside:
    found = defaultdict(list)
    for edge in edges:
        if edge.module is None:
            found[edge.head].append(edge)
    return dict(found)


def by_end(head: str, within: Outside) -> dict[str, Edge]:
    """The modules that this thing, or what it goes through, at last reaches, each with an edge to it."""
    found: dict[str, Edge] = {}
    seen, waiting = {head}, [head]
    while waiting:
        for edge in within.get(waiting.pop(), ()):
            if edge.other is not None:
                found.setdefault(edge.other, edge)
            elif edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)
    return found


def _of_texts(database: Database) -> Iterator[Edge]:
    names = {(row.schema, row.name): _Named(row.module, row.head, row.what) for row in database.all("names")}
    schemas = {each.schema: each.module for each in database.neighbours if not each.is_shared}
    for row in database.all("bodies"):
        for name in _names(row):
            meant = names.get(name)
            if meant is None and row.says == "is" and name[0] in schemas:  # of a database that this one reaches
                meant = _Named(schemas[name[0]], "", f"table {sql.Identifier(*name).as_string()}")
            if meant and meant.head != row.head and (row.module is None or row.module != meant.module):
                yield Edge(
                    module=row.module,
                    other=meant.module,
                    head=row.head,
                    target=meant.head,
                    what=row.what,
                    on=meant.what,
                    through=row.what,
                    lends=row.lends,
                    how=_SAYS[row.says],
                )


class _Named(NamedTuple):
    module: str | None
    head: str
    what: str


def _names(row: Any) -> Iterator[tuple[str, str]]:
    """Each schema and name that it may mean."""
    path = [_folded(schema) for schema in _SCHEMA.findall(row.path)]
    found: set[tuple[str, ...]] = set()
    for text in _texts(row.text) if row.is_sql else (row.text, _QUOTE.sub(" ", row.text)):
        found.update((_folded(schema), _folded(name)) for schema, name in _PAIR.findall(text))
        found.update(each.parts for each in named(text))
    for *schema, name in sorted(found):
        for each in schema[-1:] or path:
            yield each, name


def _texts(text: str) -> Iterator[str]:
    """Without comments and literals, and each literal that counts."""
    executed = []

    def without(found: re.Match[str]) -> str:
        said = _said(found) if found["literal"] else ""
        if said and (found["runs"] or found["refers"] or _STATEMENT.match(said)):
            executed.append(said)
        return found["name"] or f"{found['runs'] or ''} "

    yield _ASIDE.sub(without, text)
    for each in executed:
        yield from _texts(each)


def _said(found: re.Match[str]) -> str:
    """By a literal."""
    literal = found["literal"]
    if literal.startswith("$"):
        mark = len(found["tag"]) + 2
        return literal[mark:-mark]
    return literal[literal.index("'") + 1 : -1].replace("''", "'")


def _folded(name: str) -> str:
    """As PostgreSQL reads an identifier."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()
