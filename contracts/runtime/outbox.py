"""The SQL of outbox, delivery and inbox, on a module's connection."""

from pathlib import Path
from typing import Any

import aiosql
from django.db import connections

_queries: Any = aiosql.from_path(Path(__file__).with_name("outbox.sql"), "psycopg")

LEASE_S = 15.0
"""A delivery that a killed process held is free again after this long. A handler that takes longer runs beside its
repetition, and the inbox lets one of them commit."""
MOST_ATTEMPTS = 10


def run(module: str, query: str, **parameters: Any) -> Any:
    """Run a query of outbox.sql: rows as a list, one row for `^`, the number of rows for `!`."""
    answer = getattr(_queries, query)(connections[module], **parameters)
    return answer if answer is None or isinstance(answer, tuple | int) else list(answer)
