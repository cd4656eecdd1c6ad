"""E404: what a module's role may do in another's schema, or to another's tables where they share one."""

from collections.abc import Iterator

from psycopg import sql

from extraction.boundaries.audit.databases import Database
from extraction.boundaries.findings import Finding


def findings(database: Database) -> Iterator[Finding]:
    """Also through PUBLIC, and what default privileges will grant. A superuser is told once, as E403. Raises
    psycopg.Error."""
    for row in database.all("schemas"):
        what = "owns the schema" if row.is_owner else f"has {_and(row.privileges)} on the schema"
        mend = _revoke(f"{_and(row.privileges)} ON SCHEMA {row.schema}", row.role, is_public=row.is_public)
        yield _finding(row.module, row.other, f"{_who(row.role, row.is_public)} {what} {row.schema}", mend)
    for row in database.all("relations"):
        kind = "SEQUENCE" if row.is_sequence else "TABLE"
        columns = "" if row.is_whole else "columns of "
        what = f"owns {row.relation}" if row.is_owner else f"has {_and(row.privileges)} on {columns}{row.relation}"
        mend = _revoke(f"{_and(row.privileges)} ON {kind} {row.relation}", row.role, is_public=row.is_public)
        if row.is_owner:
            mend = f"give it to the role of {row.other}: ALTER {kind} {row.relation} OWNER TO …"
        yield _finding(row.module, row.other, f"{_who(row.role, row.is_public)} {what}", mend)
    for row in database.all("functions"):
        mend = _revoke(f"EXECUTE ON FUNCTION {row.function}", row.role, is_public=False)
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


def _who(role: str, is_public: bool) -> str:
    return f"{role}, as everybody," if is_public else role


def _revoke(what: str, role: str, *, is_public: bool) -> str:
    grantee = "PUBLIC" if is_public else sql.Identifier(role).as_string()
    return f"run: REVOKE {what} FROM {grantee}; where that changes nothing, it comes from a role that {role} is in"


def _and(privileges: list[str]) -> str:
    return ", ".join(privileges)


def _finding(module: str, other: str, what: str, mend: str) -> Finding:
    return Finding(code="boundaries.E404", module=module, other=other, what=f"may reach over: {what}", instead=mend)
