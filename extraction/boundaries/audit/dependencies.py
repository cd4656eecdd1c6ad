"""E401 and E402: what in one module's part of a database hangs on another's."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from extraction.boundaries.audit.databases import Database
from extraction.boundaries.findings import Finding

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_PAIR = re.compile(r'(?<![\w.$"])("(?:[^"]|"")+"|\w+)\s*\.\s*("(?:[^"]|"")+"|\w+)')
"""A name with its schema; or a field of a record, which no relation is called like."""


def findings(database: Database) -> Iterator[Finding]:
    """Raises psycopg.Error."""
    yield from _keys(database)
    yield from _dependencies(database)
    yield from _bodies(database)


def _keys(database: Database) -> Iterator[Finding]:
    for row in database.all("foreign_keys"):
        acts = f"; what is deleted there changes rows of {row.module}" if row.acts else ""
        yield Finding(
            code="boundaries.E401",
            module=row.module,
            other=row.other,
            what=f"has the constraint {row.name} on {row.table}: {row.definition}{acts}",
            instead=f"keep the id as a plain value: {row.mend}; and take the relation out of the model, if one says it",
        )


def _dependencies(database: Database) -> Iterator[Finding]:
    """Of modules on one another, also through views and functions of none; and of those that read two modules."""
    edges = database.all("dependencies")
    further: dict[str, list[Any]] = defaultdict(list)
    for edge in edges:
        if edge.module is None:
            further[edge.head].append(edge)
    for edge in edges:
        if edge.module is not None and edge.other is not None:
            yield _hangs(edge.module, edge.other, f"has the {edge.what}, which hangs on the {edge.on}")
        elif edge.module is not None:
            for end in _ends(edge.target, further):
                if end.other != edge.module:
                    what = f"has the {edge.what}, which hangs on the {end.on} through the {edge.on}"
                    yield _hangs(edge.module, end.other, what)
    for head, edges_of_it in further.items():
        by_module = {end.other: end for end in reversed(_ends(head, further))}
        first, *others = sorted(by_module) or [""]
        for other in others:
            what = f"is read together with {other} by the {edges_of_it[0].through}: it hangs on the "
            yield _hangs(first, other, f"{what}{by_module[first].on} and the {by_module[other].on}")


def _ends(head: str, further: dict[str, list[Any]]) -> list[Any]:
    """The edges by which this thing, or what it goes through, at last reaches a module."""
    found, seen, waiting = [], {head}, [head]
    while waiting:
        for edge in further.get(waiting.pop(), ()):
            if edge.other is not None:
                found.append(edge)
            elif edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)
    return found


def _bodies(database: Database) -> Iterator[Finding]:
    """Functions whose text names a table of another module with its schema."""
    names = {row.schema: (row.module, set(row.names)) for row in database.all("names")}
    if len(names) < 2:
        return
    for row in database.all("bodies"):
        named = {tuple(map(_folded, pair)) for pair in _PAIR.findall(_COMMENT.sub(" ", row.text))}
        for schema, name in sorted(named):
            other, relations = names.get(schema, ("", set()))
            if name in relations and other != row.module:
                yield _hangs(row.module, other, f"has the {row.what}, whose text names {schema}.{name}")


def _folded(name: str) -> str:
    """As PostgreSQL reads an identifier."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _hangs(module: str, other: str, what: str) -> Finding:
    return Finding(code="boundaries.E402", module=module, other=other, what=what)
