"""Sees what every connection of this process commits and what is refused there.

A refusal is remembered until the outermost transaction ends: a savepoint that swallows it would let the rest commit. It
is remembered on the operation too, which is then to commit nothing more anywhere, a session neither, so that it can be
done again from the beginning. A statement counts as a write as the guards say; a function that writes is not seen in
its SELECT.
"""

from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from extraction.boundaries import guards, operations
from extraction.boundaries.guards import GuardError, in_transaction
from extraction.boundaries.operations import Refusal
from extraction.placement import where
from extraction.placement.errors import RefusalSwallowed, refusal_in

_SERIALIZATION_FAILURE = "40001"
_OUTCOME_UNKNOWN = ("08", "57P")


def install() -> None:
    """Watch every connection made from now on."""
    connection_created.connect(_watch, dispatch_uid="extraction.placement.watch")
    for connection in connections.all(initialized_only=True):
        _watch(None, connection)


def _watch(sender: object, connection: BaseDatabaseWrapper, **_: Any) -> None:
    known: _Watch | None = getattr(connection, "_extraction_watch", None)
    if known is None:
        connection._extraction_watch = _Watch(connection)  # type: ignore[attr-defined]
    else:  # it was lost and made anew; Django does not roll back what is gone
        known.transaction_ended()


class _Watch:
    """Sees the statements and the commits of one connection."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.guard = guards.guard_of(connection)
        self.serves_modules = connection.alias in guards.aliases()
        self.transaction_ended()
        connection.execute_wrappers.append(self.execute)
        self.really_commit, self.really_rollback = connection.commit, connection.rollback
        self.really_release, self.really_roll_back_to = connection.savepoint_commit, connection.savepoint_rollback
        connection.commit = self.commit  # type: ignore[method-assign]
        connection.rollback = self.rollback  # type: ignore[method-assign]
        connection.savepoint_commit = self.release  # type: ignore[method-assign]
        connection.savepoint_rollback = self.roll_back_to  # type: ignore[method-assign]

    def transaction_ended(self) -> None:
        self.wrote = self.conflict = False
        self.refusal: Refusal | None = None

    def execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = sql if isinstance(sql, str) else sql.as_string(self.connection.connection)
        tables, writes = guards.read(text)
        inside = in_transaction(self.connection)
        commits = writes and not inside
        if self.guard:
            self.guard.before_statement(tables)
            if commits and tables:
                self.guard.before_commit()
        if commits:
            self._refuse_after_refusal()
        try:
            result = execute(sql, params, many, context)
        except Exception as error:
            self._failed(error)
            if commits and not _surely_failed(error):
                self._committed()
            raise
        if commits:
            self._committed(of_the_module=bool(tables))
        self.wrote |= writes and inside
        return result

    def commit(self) -> None:
        self._end_of_transaction(self.really_commit, self.connection.rollback)

    def release(self, sid: str) -> None:
        if in_transaction(self.connection):
            self.really_release(sid)
            return
        # The outermost block inside a TestCase.
        self._end_of_transaction(lambda: self.really_release(sid), lambda: self.really_roll_back_to(sid))

    def rollback(self) -> None:
        conflict = self.conflict
        self.transaction_ended()
        self.really_rollback()
        if conflict:
            self._look_behind_conflict()

    def roll_back_to(self, sid: str) -> None:
        if not in_transaction(self.connection):
            self.transaction_ended()
        self.really_roll_back_to(sid)

    def _end_of_transaction(self, really_commit: Callable[[], None], roll_back: Callable[[], None]) -> None:
        wrote = self.wrote
        try:
            if self.refusal:
                raise RefusalSwallowed(self.refusal)
            if wrote:
                self._refuse_after_refusal()
                if self.guard:
                    self.guard.before_commit()
        except (RefusalSwallowed, GuardError):
            self.transaction_ended()
            roll_back()
            raise
        try:
            really_commit()
        except Exception as error:
            self._failed(error)
            if wrote and not _surely_failed(error):
                self._committed()
            raise
        self.transaction_ended()
        if wrote:
            self._committed()

    def _refuse_after_refusal(self) -> None:
        operation = operations.current()
        if operation is not None and operation.refusal is not None:
            raise RefusalSwallowed(operation.refusal)

    def _committed(self, *, of_the_module: bool = True) -> None:
        operation = operations.current()
        if operation is not None:
            operation.committed[self.connection.alias] += 1
            if self.guard and of_the_module:
                self.guard.committed(operation)

    def _failed(self, error: Exception) -> None:
        refusal = refusal_in(error)
        if refusal is not None:
            where.learn(refusal)
            self._remember(refusal)
        elif self.serves_modules and _sqlstate(error) == _SERIALIZATION_FAILURE:
            self.conflict = self.connection.in_atomic_block
            if not self.conflict:
                self._look_behind_conflict()

    def _look_behind_conflict(self) -> None:
        refusal = where.refusal_behind_conflict(self.connection)
        if refusal is not None and (operation := operations.current()) is not None:
            operation.refusal = operation.refusal or refusal

    def _remember(self, refusal: Refusal) -> None:
        if in_transaction(self.connection):
            self.refusal = self.refusal or refusal
        if (operation := operations.current()) is not None:
            operation.refusal = operation.refusal or refusal


def _sqlstate(error: Exception) -> str | None:
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return cause.sqlstate if isinstance(cause, psycopg.Error) else None


def _surely_failed(error: Exception) -> bool:
    """The server said so. When the connection broke instead, the commit may have happened."""
    if isinstance(error, RefusalSwallowed):
        return True
    state = _sqlstate(error)
    return state is not None and not state.startswith(_OUTCOME_UNKNOWN)
