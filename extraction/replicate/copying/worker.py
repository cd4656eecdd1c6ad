"""Carry rows from one server to the other: a chunk with its entry in the ledger in one transaction."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection, IsolationLevel, sql
from psycopg.pq import ExecStatus

from extraction.platform.database import connect
from extraction.replicate.copying.ledger import Chunk, claim, leave_table, note_done
from extraction.replicate.copying.queries import coordinator_of, copying, origin_of
from extraction.replicate.copying.snapshot import Snapshot
from extraction.replicate.governor import Governor
from extraction.replicate.pair import Pair
from extraction.replicate.queries import replicate

BLOCK_BYTES = 2**17
POLL_MS = 100


class SnapshotGone(Exception):
    """Nobody holds the snapshot any more."""


class Halted(Exception):
    """Somebody asked to stop."""


class Worker(threading.Thread):
    """A pair of connections that copies chunks until none is left, or `stopping` is set."""

    def __init__(
        self, pair: Pair, number: int, snapshot: Snapshot, governor: Governor, stopping: threading.Event
    ) -> None:
        super().__init__(name=f"copy {number}", daemon=True)
        self.error: Exception | None = None
        self._pair, self._number, self._snapshot = pair, number, snapshot
        self._governor, self._stopping = governor, stopping
        self._open: list[Connection[Any]] = []

    def run(self) -> None:
        try:
            with (
                session(self._pair, self._pair.source.url) as source,
                session(self._pair, self._pair.target.url) as target,
            ):
                self._open = [source, target]
                self._agree(source, target)
                while not self._stopping.is_set() and self._carry(source, target):
                    pass
                target.execute(replicate("leave_origin"))
        except Exception as error:
            if not (self._stopping.is_set() or isinstance(error, Halted)):
                self.error = error
                self._stopping.set()

    def cut(self) -> None:
        """End what it waits for: the servers roll back."""
        for connection in self._open:
            with suppress(OSError, psycopg.Error):
                connection.cancel_safe(timeout=1)
            with suppress(OSError, psycopg.Error), socket.socket(fileno=socket.dup(connection.fileno())) as peer:
                peer.shutdown(socket.SHUT_RDWR)

    def _agree(self, source: Connection[Any], target: Connection[Any]) -> None:
        (encoding,) = source.execute(copying("encoding")).fetchone() or ("UTF8",)
        for connection in (source, target):
            connection.execute(copying("steady"), {"encoding": encoding})
        source.isolation_level, source.read_only = IsolationLevel.REPEATABLE_READ, True
        target.execute(copying("as_replica"))
        origin = {"origin": origin_of(self._pair, self._number)}
        if target.execute(replicate("origins_like"), {**origin, "copying": "^$"}).fetchone() is None:
            target.execute(replicate("make_origin"), origin)
        target.execute(replicate("take_origin"), origin)

    def _carry(self, source: Connection[Any], target: Connection[Any]) -> bool:
        """Copy a chunk. False when there is none that nobody else copies."""
        with target.transaction():
            chunk = claim(self._pair, target)
            if chunk is None:
                return False
            with source.transaction():
                columns = self._columns(source, chunk)
                if columns is not None:
                    try:
                        rows, size_bytes = self._pipe(source, target, chunk, columns)
                    except Exception:
                        source.close()  # in the middle of a COPY it takes no ROLLBACK
                        raise
                    note_done(self._pair, target, chunk, rows=rows, size_bytes=size_bytes)
                    return True
        leave_table(self._pair, target, chunk.table)
        return True

    def _columns(self, source: Connection[Any], chunk: Chunk) -> list[str] | None:
        """The table's columns without the computed ones, and a lock on it; None where it is not the planned file."""
        given = {"schema": self._pair.schema, "table": chunk.table}
        try:
            source.execute(copying("take_snapshot", snapshot=sql.Literal(self._snapshot.name)))
        except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject) as error:
            raise SnapshotGone(str(error)) from error
        if not self._snapshot.is_held(source):
            raise SnapshotGone(f"session {self._snapshot.pid} has ended")
        found = source.execute(copying("owner"), given).fetchone()
        if found is None:
            return None
        source.execute(copying("become", role=sql.Identifier(found[0])))
        try:
            with source.transaction():
                source.execute(copying("lock_table", table=self._table(chunk)))
        except psycopg.errors.UndefinedTable:
            return None
        shape = source.execute(copying("shape"), given).fetchone()
        return shape[1] if shape and shape[0] == chunk.filenode else None

    def _pipe(
        self, source: Connection[Any], target: Connection[Any], chunk: Chunk, columns: list[str]
    ) -> tuple[int, int]:
        """Returns rows and bytes."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        table, size_bytes = self._table(chunk), 0
        given = {"schema": self._pair.schema, "table": chunk.table}
        (owner,) = target.execute(copying("owner"), given).fetchone() or ("",)
        target.execute(copying("become", role=sql.Identifier(owner)))
        out = copying("copy_out", columns=names, table=table, range=_range(chunk))
        reading = _Reading(source, out.as_bytes(source))
        with target.cursor() as cursor:
            with cursor.copy(copying("copy_in", columns=names, table=table)) as into:
                for block in reading.blocks(self._stopping):
                    self._governor.take(len(block), self._stopping)
                    into.write(block)
                    size_bytes += len(block)
            rows = cursor.rowcount
        # Whoever has a placement row keeps it, unless the other is newer.
        if rows != reading.rows and chunk.table != self._pair.objects.placement:
            raise RuntimeError(f"{chunk.table}: {reading.rows} rows were read and {rows} written")
        target.execute(copying("become_oneself"))
        return rows, size_bytes

    def _table(self, chunk: Chunk) -> sql.Identifier:
        return sql.Identifier(self._pair.schema, chunk.table)


def session(pair: Pair, url: str) -> Connection[Any]:
    """A connection that is known as of those who copy, without limits of time. Raises ServerUnreachable."""
    connection = connect(url)
    connection.execute(copying("name_session"), {"name": coordinator_of(pair)})
    connection.execute(copying("without_limits"))
    return connection


class _Reading:
    """The rows of a COPY, as many at a time as make a block: one at a time costs three times the CPU, measured."""

    def __init__(self, connection: Connection[Any], statement: bytes) -> None:
        self.rows = 0
        self._pgconn = connection.pgconn
        result = self._pgconn.exec_(statement)
        if result.status != ExecStatus.COPY_OUT:
            raise psycopg.errors.error_from_result(result)

    def blocks(self, stopping: threading.Event) -> Iterator[bytes]:
        read, parts, size = self._pgconn.get_copy_data, list[bytes](), 0
        poll = select.poll()
        poll.register(self._pgconn.socket, select.POLLIN)
        while True:
            length, data = read(1)
            if length > 0:
                parts.append(bytes(data))
                size += length
                if size >= BLOCK_BYTES:
                    yield b"".join(parts)
                    parts.clear()
                    size = 0
            elif length == 0:
                if stopping.is_set():
                    raise Halted
                poll.poll(POLL_MS)
                self._pgconn.consume_input()
            else:
                break
        yield b"".join(parts)
        while (result := self._pgconn.get_result()) is not None:
            if result.status != ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(result)
            self.rows = result.command_tuples or 0


def _range(chunk: Chunk) -> sql.Composed:
    first = sql.Literal(f"({chunk.first_page},0)")
    if chunk.end_page is not None:
        return copying("between_pages", first=first, end=sql.Literal(f"({chunk.end_page},0)"))
    return copying("from_page", first=first) if chunk.first_page else copying("all_of_it")
