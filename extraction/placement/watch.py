"""Sees what every connection of this process commits and what is refused there.

A refusal is remembered until the outermost transaction ends: a savepoint that swallows it would let the rest commit. It
is remembered on the operation too, which is then to commit nothing more anywhere, a session neither, so that it can be
done again from the beginning. A statement counts as a write as the guards say; a function that writes is not seen in
its SELECT. The recorder, where there is one, is shown what was executed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg import sql

from extraction import project
from extraction.boundaries import guards, operations, recorder, statements
from extraction.boundaries.guards import GuardError, in_transaction
from extraction.boundaries.operations import Refusal
from extraction.placement import ending, where
from extraction.placement.database import Objects
from extraction.placement.errors import RefusalSwallowed, note_behind, refusal_in

_SERIALIZATION_FAILURE = "40001"
_UNDEFINED_TABLE = "42P01"
_OUTCOME_UNKNOWN = ("08", "57P")


def install() -> None:
    """Watch every connection made from now on, record what EXTRACTION asks for, and end this process with a sentence
    where it is refused."""
    ending.install()
    recorder.install()
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
        self.wrote = False
        self.refusal: Refusal | None = None
        self.hiding: _Hiding | None = None
        self.touched: recorder.Transaction | None = None
        if self.guard:
            self.guard.transaction_ended()

    def execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = self._text(sql)
        alone = self.guard.module if self.guard else ""
        tables, writes = statements.read(text, alone=alone)
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
            self._failed(error, tables)
            if commits and not _surely_failed(error):
                self._committed()
            raise
        if commits:
            self._committed(of_the_module=bool(tables))
        self.wrote |= writes and inside
        if (recording := recorder.active) is not None:
            self.touched = recording.executed(text, alone=alone, inside=inside, transaction=self.touched)
        return result

    def _text(self, statement: Any) -> str:
        """Of what psycopg takes: a text, bytes, or one that is put together."""
        if isinstance(statement, bytes):
            return statement.decode(errors="replace")
        return statement if isinstance(statement, str) else str(statement.as_string(self.connection.connection))

    def commit(self) -> None:
        self._end_of_transaction(self.really_commit, self.connection.rollback)

    def release(self, sid: str) -> None:
        if in_transaction(self.connection):
            self.really_release(sid)
            return
        # The outermost block inside a TestCase.
        self._end_of_transaction(lambda: self.really_release(sid), lambda: self.really_roll_back_to(sid))

    def rollback(self) -> None:
        hiding = self.hiding
        self.transaction_ended()
        self.really_rollback()
        if hiding:
            self._look_behind(hiding)

    def roll_back_to(self, sid: str) -> None:
        if not in_transaction(self.connection):
            self.transaction_ended()
        self.really_roll_back_to(sid)

    def _end_of_transaction(self, really_commit: Callable[[], None], roll_back: Callable[[], None]) -> None:
        wrote, touched = self.wrote, self.touched
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
        if touched is not None and (recording := recorder.active) is not None:
            recording.committed(touched)

    def _refuse_after_refusal(self) -> None:
        operation = operations.current()
        if operation is not None and operation.refusal is not None:
            raise RefusalSwallowed(operation.refusal)

    def _committed(self, *, of_the_module: bool = True) -> None:
        operations.of_process[self.connection.alias] += 1
        operation = operations.current()
        if operation is not None:
            operation.committed[self.connection.alias] += 1
            if self.guard and of_the_module:
                self.guard.committed(operation)

    def _failed(self, error: Exception, tables: frozenset[tuple[str, str]] = frozenset()) -> None:
        refusal = refusal_in(error)
        if refusal is not None:
            where.learn(refusal)
            self._remember(refusal)
        elif (hiding := self._hiding(error, tables)) is not None:
            if self.connection.in_atomic_block:
                self.hiding = hiding
            else:
                self._look_behind(hiding)

    def _hiding(self, error: Exception, tables: frozenset[tuple[str, str]]) -> "_Hiding | None":
        """A conflict is a switch's if a fence met it; a table is missed as a module's if the statement names one of it,
        or its alias is that module's alone."""
        cause = _of_psycopg(error)
        if cause is None or not self.serves_modules:
            return None
        here = [of for of in project.modules().values() if of.alias == self.connection.alias]
        if cause.sqlstate == _UNDEFINED_TABLE:
            owners = {owner for owner, _ in tables} | ({self.guard.module} if self.guard else set())
            return _Hiding(cause, [of.name for of in here if of.name in owners], where.refusal_behind_missing_table)
        if cause.sqlstate == _SERIALIZATION_FAILURE:
            met = cause.diag.context or ""
            fences = [(of.name, sql.Identifier(Objects(of.name, of.schema).fence).as_string()) for of in here]
            modules = [name for name, fence in fences if f".{fence}()" in met or f".{fence[1:-1]}()" in met]
            return _Hiding(cause, modules, where.refusal_behind_conflict)
        return None

    def _look_behind(self, hiding: "_Hiding") -> None:
        found = (hiding.look(self.connection, module) for module in hiding.modules)
        refusal = next((each for each in found if each is not None), None)
        if refusal is None:
            return
        note_behind(hiding.error, refusal)
        if (operation := operations.current()) is not None:
            operation.refusal = operation.refusal or refusal

    def _remember(self, refusal: Refusal) -> None:
        if in_transaction(self.connection):
            self.refusal = self.refusal or refusal
        if (operation := operations.current()) is not None:
            operation.refusal = operation.refusal or refusal


@dataclass(frozen=True, slots=True)
class _Hiding:
    """An error that names no module, and may come of the move of one of these."""

    error: psycopg.Error
    modules: list[str]
    look: Callable[[BaseDatabaseWrapper, str], Refusal | None]


def _of_psycopg(error: Exception) -> psycopg.Error | None:
    cause = error if isinstance(error, psycopg.Error) else error.__cause__
    return cause if isinstance(cause, psycopg.Error) else None


def _sqlstate(error: Exception) -> str | None:
    cause = _of_psycopg(error)
    return None if cause is None else cause.sqlstate


def _surely_failed(error: Exception) -> bool:
    """The server said so. When the connection broke instead, the commit may have happened."""
    if isinstance(error, RefusalSwallowed):
        return True
    state = _sqlstate(error)
    return state is not None and not state.startswith(_OUTCOME_UNKNOWN)
