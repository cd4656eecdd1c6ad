"""How much is written while somebody looks, and which transactions are old."""

import time
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql

from extraction.plan.errors import Unknown
from extraction.plan.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One that has been open for more than a second."""

    pid: int
    role: str
    database: str
    application: str
    state: str
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    watched_s: float
    rows_per_s: float
    """Rows of the module that were inserted, updated or deleted."""
    rows_seen: int
    server_rows_seen: int
    """The same in all databases of the server."""
    share: float | None
    """The module's part of the server's; None where nobody wrote."""
    commits_per_s: float
    """Of the module's database: PostgreSQL does not count them per table."""
    statements_per_s: float | None
    """The same; None without pg_stat_statements."""
    wal_bytes_per_s: float
    """Of the whole server: this is what a slot holds back."""
    written_ever: int
    """Rows written since the counters were reset."""
    written_since: datetime | None
    transactions: tuple[Transaction, ...]


def rates_of(source: Source, *, watch_s: float) -> Rates:
    """Count for so long. Backends report their counts at most once a second. Raises Unknown."""
    statements = _statements(source)
    before = source.one("counters")
    time.sleep(watch_s)
    after = source.one("counters")
    ended = _statements(source)
    took_s = max((after[0] - before[0]).total_seconds(), 0.001)
    rows, all_rows, commits, wal = (max(0, late - early) for early, late in zip(before[1:], after[1:], strict=True))
    all_rows = max(rows, all_rows)  # both are read at slightly different moments
    written, since = source.one("written")
    return Rates(
        watched_s=round(took_s, 2),
        rows_per_s=rows / took_s,
        rows_seen=rows,
        server_rows_seen=all_rows,
        share=rows / all_rows if all_rows else None,
        commits_per_s=commits / took_s,
        statements_per_s=None if statements is None or ended is None else max(0, ended - statements) / took_s,
        wal_bytes_per_s=wal / took_s,
        written_ever=written,
        written_since=since,
        transactions=tuple(
            Transaction(pid=pid, role=role, database=database, application=name, state=state or "", age_s=age)
            for pid, role, database, name, state, age in source.all("transactions")
        ),
    )


def sees_others(source: Source) -> bool:
    """Whether the transactions of other roles are shown to this one."""
    return bool(source.one("sees_others")[0])


def _statements(source: Source) -> int | None:
    found = source.all("extension", {"name": "pg_stat_statements"})
    if not found:
        return None
    try:
        (calls,) = source.one("statements", extension=sql.Identifier(found[0][0]))
    except Unknown:  # installed, and not loaded
        return None
    return int(calls or 0)
