"""E403: login roles of modules that are another's, may become another's, or go over every wall."""

from collections.abc import Iterator

from psycopg import sql

from extraction.boundaries.audit.databases import Database, same_role
from extraction.boundaries.findings import Finding


def findings(database: Database) -> Iterator[Finding]:
    """Of roles that one module alone logs in with. Raises psycopg.Error."""
    modules = _alone(database)
    for one, other in same_role(database):
        yield _finding(one.module, other.module, f"logs in as {one.role}, as {other.module} does", "give each a role")
    for row in database.all("attributes"):
        if module := modules.get(row.role):
            mend = _say(f"ALTER ROLE {{}} NO{row.attribute}", row.role)
            yield _finding(module, "", f"logs in as {row.role}, which is {row.attribute}", f"run: {mend}")
    for row in database.all("memberships"):
        if (module := modules.get(row.role)) is None:
            continue
        path = ", a member of ".join((row.role, *row.path))
        mend = f"run: {_say('REVOKE {} FROM {}', row.path[0], row.role)}"
        for other in row.modules:
            yield _finding(module, other, f"logs in as {path}, and so may act as {other} does", mend)
        if row.is_super or row.is_wide:
            yield _finding(module, "", f"logs in as {path}, which goes over every wall", mend)
        for attribute in row.attributes:
            yield _finding(module, "", f"logs in as {path}, which is {attribute}", mend)


def _alone(database: Database) -> dict[str, str]:
    """Module by role; none for a role that several modules log in with, where nothing is kept apart."""
    found: dict[str, set[str]] = {}
    for each in database.neighbours:
        found.setdefault(each.role, set()).add(each.module)
    return {role: min(modules) for role, modules in found.items() if len(modules) == 1}


def _finding(module: str, other: str, what: str, instead: str) -> Finding:
    return Finding(code="boundaries.E403", module=module, other=other, what=what, instead=instead)


def _say(statement: str, *roles: str) -> str:
    return sql.SQL(statement).format(*map(sql.Identifier, roles)).as_string() + ";"
