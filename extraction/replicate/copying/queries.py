from pathlib import Path

from psycopg import sql

from extraction.queries import Queries
from extraction.replicate.pair import Pair

_queries = Queries(Path(__file__).with_name("copying.sql"))


def copying(name: str, **parts: sql.Composable) -> sql.Composed:
    """A query of copying.sql."""
    return _queries(name, **parts)


def holder_of(pair: Pair) -> str:
    """The name of the sessions that hold the snapshot."""
    return f"{pair.name}_holder"


def coordinator_of(pair: Pair) -> str:
    """The name of the sessions that copy."""
    return f"{pair.name}_copy"


def origin_of(pair: Pair, number: int) -> str:
    """Marks what a worker writes: it came from the other side. One session at a time has it."""
    return f"{pair.name}_copy_{number}"


def ledger_of(pair: Pair) -> sql.Identifier:
    """The schema on the target that says what is copied."""
    return sql.Identifier(f"{pair.name}_copy")


def chunks_of(pair: Pair) -> str:
    """The ledger's table, as PostgreSQL reads a name."""
    return sql.Identifier(f"{pair.name}_copy", "chunk").as_string()
