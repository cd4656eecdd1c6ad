"""E404: what a module's role may do in another's schema, or to another's tables where they share one."""

from collections.abc import Iterator
from typing import Any

from psycopg import sql

from extraction.boundaries.audit.databases import Database
from extraction.boundaries.findings import Finding


def findings(database: Database) -> Iterator[Finding]:
    """Also through PUBLIC, and what default privileges will grant. A superuser is told once, as E403. Raises
    psycopg.Error."""
    for row in database.all("schemas"):
        what = "owns the schema" if row.is_owner else f"has {_and(row.privileges)} on the schema"
        mend = revoked(row, f"SCHEMA {row.schema}")
        yield _finding(row.module, row.other, f"{who(row.role, row.is_public)} {what} {row.schema}", mend)
    for row in database.all("relations"):
        columns = "" if row.is_whole else "columns of "
        what = f"owns {row.relation}" if row.is_owner else f"has {_and(row.privileges)} on {columns}{row.relation}"
        mend = revoked(row, f"{'SEQUENCE' if row.is_sequence else 'TABLE'} {row.relation}")
        yield _finding(row.module, row.other, f"{who(row.role, row.is_public)} {what}", mend)
    for row in database.all("functions"):
        mend = f"run: REVOKE EXECUTE ON FUNCTION {row.function} FROM {_quoted(row.role)};"
        yield _finding(row.module, row.other, f"{row.role} has EXECUTE on {row.function}", mend)
    for row in database.all("default_privileges"):
        place = f" in {row.schema}" if row.schema else ""
        what = f"{row.role} will have {_and(row.privileges)} on {row.kind.lower()} that {row.maker} makes{place}"
        scope = f" IN SCHEMA {row.schema}" if row.schema else ""
        mend = (
            f"run: ALTER DEFAULT PRIVILEGES FOR ROLE {row.maker}{scope} REVOKE {_and(row.privileges)} ON {row.kind} "
            f"FROM {row.grantee};"
        )
        yield _finding(row.module, row.other, what, mend)


def who(role: str, is_public: bool) -> str:
    """Holds the privilege."""
    return f"{role}, as everybody," if is_public else role


def revoked(row: Any, what: str) -> str:
    """Takes the privileges of a row of audit.sql away; `what` as SQL: `TABLE orders.order`."""
    if row.is_owner:
        return f"give it to the role of {row.other}: ALTER {what} OWNER TO …"
    if not row.is_granted:
        return f"revoke the membership by which {row.role} has it"
    return f"run: REVOKE {_and(row.privileges)} ON {what} FROM {'PUBLIC' if row.is_public else _quoted(row.role)};"


def _quoted(role: str) -> str:
    return sql.Identifier(role).as_string()


def _and(privileges: list[str]) -> str:
    return ", ".join(privileges)


def _finding(module: str, other: str, what: str, mend: str) -> Finding:
    return Finding(code="boundaries.E404", module=module, other=other, what=f"may reach over: {what}", instead=mend)
