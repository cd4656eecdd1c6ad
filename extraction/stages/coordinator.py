"""One coordinator a module: a lock in the source's database, on a direct connection, which ends with the process."""

import getpass
import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import Connection

from extraction.platform.database import connect
from extraction.queries import Queries
from extraction.stages.errors import Busy, StageError

_queries = Queries(Path(__file__).with_name("coordinator.sql"))

LOCK_CLASS = 0x4D58
"""First key of the advisory lock; the second is a checksum of the module's name."""

LONGEST_NAME = 63
"""Of a session."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who coordinates a module."""

    stage: str
    pid: int
    who: str
    """user@host, cut where the name of a session ends"""
    since: datetime

    def __str__(self) -> str:
        return f"{self.stage} by {self.who} (process {self.pid}) since {self.since:%Y-%m-%d %H:%M:%S %Z}"


def who() -> str:
    """The person at this machine: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


class Lock:
    """The coordinator's session."""

    def __init__(self, connection: Connection[Any], module: str) -> None:
        self._connection, self._module = connection, module

    def check(self) -> None:
        """Raise StageError when the session is lost, and the lock with it."""
        try:
            held = self._connection.execute(_queries("still_held"), _keys(self._module)).fetchone()
        except psycopg.Error as error:
            raise StageError(
                f"the session that coordinates {self._module} was lost ({_first_line(error)}), so that another may "
                f"begin; see where it stands: manage.py extract status {self._module}"
            ) from error
        assert held is not None
        if not held[0]:
            raise StageError(
                f"the lock that coordinates {self._module} was lost; see where it stands: "
                f"manage.py extract status {self._module}"
            )


@contextmanager
def coordinating(module: str, *, url: str, stage: str) -> Iterator[Lock]:
    """Be the only coordinator of this module, as long as the block or the process lasts. Raises Busy."""
    with connect(url) as connection:
        # What pg_stat_activity shows to a second coordinator, before it can find the lock taken. The end is cut.
        connection.execute(_queries("name_session"), {"name": f"extract {stage} {os.getpid()} {who()}"[:LONGEST_NAME]})
        taken = connection.execute(_queries("take"), _keys(module)).fetchone()
        if not (taken and taken[0]):
            held = _holder(connection, module)
            raise Busy(
                f"{module} is being coordinated: {held or 'by a session that has just ended'}; wait for it, see "
                f"manage.py extract status {module}",
                holder=str(held or ""),
            )
        yield Lock(connection, module)


def holder(module: str, *, url: str) -> Holder | None:
    """Who coordinates this module now."""
    with connect(url) as connection:
        return _holder(connection, module)


def _holder(connection: Connection[Any], module: str) -> Holder | None:
    row = connection.execute(_queries("holder"), _keys(module)).fetchone()
    if row is None:
        return None
    _, stage, pid, user = [*row[0].split(" ", 3), "?", "0", "?"][:4]
    return Holder(stage=stage, pid=int(pid), who=user, since=row[1])


def _keys(module: str) -> dict[str, int]:
    return {"class": LOCK_CLASS, "key": zlib.crc32(module.encode()) >> 1}


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
