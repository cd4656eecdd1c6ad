"""E401 and E402: what in one module's part of a database hangs on another's, and what of nobody's hangs on two."""

from collections.abc import Iterator

from extraction.boundaries.audit.databases import Database
from extraction.boundaries.audit.edges import HANGS, Edge, Outside, by_end
from extraction.boundaries.findings import Finding


def findings(database: Database, edges: list[Edge], outside: Outside) -> Iterator[Finding]:
    """Raises psycopg.Error."""
    yield from _keys(database)
    yield from _hanging(edges, outside)
    yield from _read_together(outside)


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


def _hanging(edges: list[Edge], outside: Outside) -> Iterator[Finding]:
    """Modules on one another, also through what is no module's."""
    for edge in edges:
        if edge.module is not None and edge.other is not None:
            yield _finding(edge.module, edge.other, f"has the {edge.what}, {edge.how} {edge.on}")
        elif edge.module is not None:
            for other, end in by_end(edge.target, outside).items():
                if other != edge.module:
                    what = f"has the {edge.what}, {HANGS} {end.on} through the {edge.on}"
                    yield _finding(edge.module, other, what)


def _read_together(outside: Outside) -> Iterator[Finding]:
    for head, edges in outside.items():
        by_module = by_end(head, outside)
        first, *others = sorted(by_module) or [""]
        for other in others:
            what = f"is read together with {other} by the {edges[0].through}: it hangs on the "
            yield _finding(first, other, f"{what}{by_module[first].on} and the {by_module[other].on}")


def _finding(module: str, other: str, what: str) -> Finding:
    return Finding(code="boundaries.E402", module=module, other=other, what=what)
