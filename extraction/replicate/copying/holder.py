"""A process that makes a slot and holds its snapshot, for those who copy: python -m extraction.replicate.copying.holder

It outlives the coordinator that starts it, so that a copy that was broken off goes on. It ends when its slot or its
server is gone, and, dropping the slot, once nobody has copied for so long. Until it has answered it ends with the
coordinator, so that no slot stays that nobody knows of.
"""

import json
import os
import select
import sys
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection, sql
from psycopg.conninfo import make_conninfo

from extraction.replicate.copying.queries import copying

POLL_S = 1.0
KNOWS_FAILOVER = 17_00_00
"""Slots that standbys take over."""


def main() -> None:
    """Reads JSON (url, slot, holder, coordinator, keep_s), answers with the snapshot or why there is none."""
    given = json.loads(sys.stdin.readline())
    if os.fork():
        os._exit(0)
    try:
        with (
            psycopg.connect(given["url"], autocommit=True, application_name=given["holder"]) as watch,
            psycopg.connect(
                make_conninfo(given["url"], replication="database", application_name=given["holder"]), autocommit=True
            ) as held,
        ):
            _hold(watch, held, **given)
    except psycopg.Error as error:
        _answer(error=(str(error).strip().splitlines() or [type(error).__name__])[0])


def _hold(
    watch: Connection[Any],
    held: Connection[Any],
    *,
    slot: str,
    coordinator: str,
    keep_s: float,
    **_: Any,
) -> None:
    for connection in (watch, held):
        connection.pgconn.exec_(copying("without_limits").as_bytes())
    if _is_alone():
        return
    # A command of the replication protocol, which knows neither parameters nor comments.
    failover = sql.SQL(", FAILOVER" if held.info.server_version >= KNOWS_FAILOVER else "")
    result = held.pgconn.exec_(copying("make_slot", slot=sql.Identifier(slot), failover=failover).as_bytes())
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        _answer(error=result.error_message.decode(errors="replace").strip().splitlines()[0])
        return
    pid = held.info.backend_pid
    if _is_alone():
        watch.execute(copying("drop_idle_slot"), {"slot": slot})
        return
    point, name = (str((result.get_value(0, column) or b"").decode()) for column in (1, 2))
    (since,) = watch.execute(copying("backend"), {"pid": pid}).fetchone() or ("",)
    _answer(name=name, pid=pid, since=since, point=point, keep_s=keep_s)
    _wait(watch, slot=slot, pid=pid, coordinator=coordinator, keep_s=keep_s)


def _wait(watch: Connection[Any], *, slot: str, pid: int, coordinator: str, keep_s: float) -> None:
    seen = time.monotonic()
    while True:
        given = {"slot": slot, "pid": pid, "coordinator": coordinator}
        has_slot, has_snapshot, is_coordinated = watch.execute(copying("is_needed"), given).fetchone() or (False,) * 3
        if not has_slot or not has_snapshot:
            return
        if is_coordinated:
            seen = time.monotonic()
        elif time.monotonic() - seen > keep_s:
            watch.execute(copying("drop_idle_slot"), {"slot": slot})
            return
        time.sleep(min(POLL_S, keep_s / 4))


def _is_alone() -> bool:
    """Whether the coordinator is gone: it keeps our standard input open until it has our answer."""
    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable) and not os.read(0, 1)


def _answer(**found: Any) -> None:
    with suppress(OSError):
        os.write(1, json.dumps(found).encode() + b"\n")
        os.close(1)


if __name__ == "__main__":
    main()
