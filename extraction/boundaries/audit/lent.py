"""E402: what is no module's and lends a module's role a way to another's tables: a view, a function, a rule."""

from collections.abc import Iterator

from extraction.boundaries.audit.databases import Database
from extraction.boundaries.audit.edges import HANGS, Outside, by_end
from extraction.boundaries.audit.privileges import revoked, who
from extraction.boundaries.findings import Finding


def findings(database: Database, outside: Outside) -> Iterator[Finding]:
    """Nothing of what no module's role may use. Raises psycopg.Error."""
    lending = {head: edges for head, edges in outside.items() if edges[0].lends != "no"}
    reached = {head: by_end(head, outside if edges[0].lends == "all" else lending) for head, edges in lending.items()}
    roles = {each.module: each.role for each in database.neighbours}
    for row in database.all("users", heads=[head for head, by_module in reached.items() if by_module]):
        for other, end in reached[row.head].items():
            if row.role == roles[other]:
                continue
            first = lending[row.head][0]
            way = f"{end.how} {end.on}" if end.head == row.head else f"{HANGS} {end.on} through the {end.through}"
            has = f"{who(row.role, row.is_public)} has {', '.join(row.privileges)}"
            yield Finding(
                code="boundaries.E402",
                module=row.module,
                other=other,
                what=f"may use the {first.through}, {way}: {has}",
                instead=f"{revoked(row, row.name)} or drop it, and ask with a call",
            )
