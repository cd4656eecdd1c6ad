"""Changes of tables that are in use: short tries, so that no writer queues behind one that has to wait."""

import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import Connection

from extraction.placement.database import Objects
from extraction.replicate.errors import Blocked
from extraction.replicate.queries import replicate

TRY_MS = 100
"""How long a try waits for its locks; writers of the table wait behind it."""
LONGEST_PAUSE_S = 1.0
TIMEOUT_S = 60.0
COLLISION = "tuple concurrently updated"


def patiently(
    connection: Connection[Any], change: Callable[[], object], *, of: Objects, timeout_s: float = TIMEOUT_S
) -> None:
    """Commit the change in one transaction, tried again until nobody is in its way. Raises Blocked."""
    end, pause_s = time.monotonic() + timeout_s, TRY_MS / 1000
    while True:
        try:
            with connection.transaction():
                connection.execute(replicate("wait_briefly"), {"lock_timeout": f"{TRY_MS}ms"})
                change()
            return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.InternalError_) as error:
            # Whoever grants on the same database at the same moment, for another module, ends with an internal error.
            if not isinstance(error, psycopg.errors.LockNotAvailable) and COLLISION not in str(error):
                raise
            holders = connection.execute(replicate("holders", members=of.members), of.scope).fetchall()
            if time.monotonic() + pause_s > end:
                raise Blocked(_who(of.module, holders, timeout_s)) from error
            time.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _who(module: str, holders: list[Any], timeout_s: float) -> str:
    if not holders:
        return f"tables of {module} were in use for {timeout_s:g} s, each time by somebody else; run the command again"
    sessions = "; ".join(
        f"pid {pid} of {role} ({application or 'unnamed'}, {state}, transaction open for {age_s:.0f} s) holds {table}"
        for pid, role, application, state, age_s, table in holders
    )
    return (
        f"tables of {module} were in use for {timeout_s:g} s: {sessions}; let it end, or end it with "
        f"SELECT pg_terminate_backend({holders[0][0]}), and run the command again"
    )
