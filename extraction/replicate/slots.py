"""Replication slots, which hold back the write-ahead log of a whole server while they stand."""

import re
import time
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.replicate.errors import Blocked
from extraction.replicate.pair import Stream
from extraction.replicate.queries import replicate

POLL_S = 0.05
FAILOVER_SINCE = 17_00_00


def make_slot(stream: Stream, publisher: Connection[Any], *, timeout_s: float) -> None:
    """A new slot. It waits for the transactions that are open in the whole server. Raises Blocked."""
    drop_slots(stream, publisher, copying=None, timeout_s=timeout_s)
    try:
        with publisher.transaction():
            publisher.execute(replicate("wait_for_transactions"), {"statement_timeout": f"{timeout_s:g}s"})
            # Such a slot sends no more than the standbys of synchronized_standby_slots have.
            failover = sql.SQL(", failover => true" if knows_failover(publisher) else "")
            publisher.execute(replicate("make_slot", failover=failover), {"slot": stream.name})
    except psycopg.errors.QueryCanceled as error:
        found = publisher.execute(replicate("oldest_writer")).fetchone()
        who = f"pid {found[0]} of {found[1]} writes since {found[2]:.0f} s" if found else "it is over now"
        raise Blocked(
            f"a transaction that was open kept {stream.name} from beginning for {timeout_s:g} s: {who}; let it end, or "
            "end it with SELECT pg_terminate_backend(pid), and run the command again"
        ) from error


def knows_failover(server: Connection[Any]) -> bool:
    """Whether its slots go to its standbys with it."""
    return server.info.server_version >= FAILOVER_SINCE


def drop_slots(stream: Stream, publisher: Connection[Any], *, copying: str | None, timeout_s: float) -> None:
    """Drop the stream's slot, and those whose names match `copying`, ending who reads from them. Raises Blocked."""
    given = {"slot": stream.name, "copying": copying or "^$"}
    end = time.monotonic() + timeout_s
    while found := publisher.execute(replicate("slots_like"), given).fetchall():
        for slot, pid in found:
            if pid is not None:
                publisher.execute(replicate("end_session"), {"pid": pid})
                continue
            try:
                publisher.execute(replicate("drop_slot"), {"slot": slot})
            except psycopg.errors.ObjectInUse:  # somebody connected meanwhile
                continue
        if time.monotonic() > end:
            raise Blocked(f"slot {found[0][0]} is in use; stop the server that reads it and run the command again")
        time.sleep(POLL_S)


def copying_slots(subscription: int, system: str) -> str:
    """A pattern of the names that a subscription gives the slots with which it copies tables."""
    return rf"^pg_{subscription}_sync_[0-9]+_{re.escape(system)}$"
