"""Runtime guards: what works in one process and would mean something else in two.

    ForeignTransaction   SQL of one module while a transaction of another is open: hold-and-wait, and no way to
                         commit both once they are two databases
    SecondCommit         a second commit in one module within a request, handler or call: replaying it after the
                         module moved would double the first
    ForeignTable         SQL for a table of another module

What a guard does is `EXTRACTION["guards"]`: "raise" (tests, `up`), "log" with the call site (production), "off".
They watch every connection of this process through `connection_created`; no code has to cooperate. A statement
counts as a write by its first keyword after comments, so a SELECT of a function that writes is not seen; nor is what
goes past Django's cursor: `cursor.copy()` and the driver's own connection. Outside a transaction a write counts only on
tables of the module's models, so that the bookkeeping of messages is none.
"""

import os
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import Any, Self

import structlog
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest, HttpResponse

log = structlog.get_logger(__name__)


class GuardError(Exception):
    """A module boundary was crossed at run time."""


class ForeignTransaction(GuardError):
    """SQL of one module inside a transaction of another."""


class SecondCommit(GuardError):
    """A second commit in one module within one request, handler or call."""


class ForeignTable(GuardError):
    """SQL of one module for a table of another."""


class Operation:
    """A request, handler or call, and what it has committed so far. Commits made inside it are counted anew."""

    __slots__ = ("_token", "commits", "kind", "name")

    def __init__(self, kind: str, name: str) -> None:
        self.kind, self.name = kind, name
        self.commits: dict[str, str] = {}
        """Where each module committed first."""

    def __enter__(self) -> Self:
        self._token = _operation.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _operation.reset(self._token)


_operation: ContextVar[Operation | None] = ContextVar("operation", default=None)


class OperationMiddleware:
    """Every request is an operation."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with Operation("request", f"{request.method} {request.path}"):
            return self.get_response(request)


def install() -> None:
    """Watch every connection made from now on."""
    connection_created.connect(_watch, dispatch_uid="extraction.boundaries.guards")
    for connection in connections.all(initialized_only=True):
        _watch(None, connection)


def _watch(sender: object, connection: BaseDatabaseWrapper, **_: Any) -> None:
    if _mode() == "off" or connection.alias not in _module_of_alias() or hasattr(connection, "_guard"):
        return
    connection._guard = _Guard(connection)  # type: ignore[attr-defined]


class _Guard:
    """Sees the statements and the commits of one connection."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.module = _module_of_alias()[connection.alias]
        self.wrote = False
        connection.execute_wrappers.append(self.execute)
        self.really_commit, self.really_rollback = connection.commit, connection.rollback
        self.really_release, self.really_roll_back_to = connection.savepoint_commit, connection.savepoint_rollback
        connection.commit = self.commit  # type: ignore[method-assign]
        connection.rollback = self.rollback  # type: ignore[method-assign]
        connection.savepoint_commit = self.release  # type: ignore[method-assign]
        connection.savepoint_rollback = self.roll_back_to  # type: ignore[method-assign]

    def execute(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = sql if isinstance(sql, str) else sql.as_string(self.connection.connection)
        tables, writes = _read(text)
        for owner, table in tables:
            if owner != self.module:
                _report(
                    ForeignTable,
                    f"{self.module} runs SQL for {owner}'s table {table}; should {self.module} know it at all? Ask "
                    f"{owner} with a call of contracts/{owner}.py, or hear one of its events",
                )
        in_transaction = _in_transaction(self.connection)
        if in_transaction and (foreign := [other for other in _open_modules() if other != self.module]):
            _report(
                ForeignTransaction,
                f"{self.module} runs SQL inside an open transaction of {', '.join(foreign)}; end that first, or "
                "publish an event in it",
            )
        if writes and in_transaction:
            self.wrote = True
        elif writes and tables:
            self._count_commit()
        return execute(sql, params, many, context)

    def commit(self) -> None:
        try:
            self._end_of_transaction()
        except GuardError:
            self.connection.rollback()
            raise
        self.really_commit()

    def release(self, sid: str) -> None:
        if not _in_transaction(self.connection):  # the outermost block inside a TestCase
            try:
                self._end_of_transaction()
            except GuardError:
                self.really_roll_back_to(sid)
                raise
        self.really_release(sid)

    def rollback(self) -> None:
        self.wrote = False
        self.really_rollback()

    def roll_back_to(self, sid: str) -> None:
        if not _in_transaction(self.connection):
            self.wrote = False
        self.really_roll_back_to(sid)

    def _end_of_transaction(self) -> None:
        if self.wrote:
            self.wrote = False
            self._count_commit()

    def _count_commit(self) -> None:
        """Called just before a commit, so that a refused one leaves nothing behind."""
        current = _operation.get()
        if current is None:
            return
        if self.module not in current.commits:
            current.commits[self.module] = _call_site()
            return
        _report(
            SecondCommit,
            f"{current.kind} {current.name} commits a second time in {self.module} (first at "
            f"{current.commits[self.module]}); one operation, one transaction: if the module moves between "
            "the two, the first can be neither undone nor replayed",
        )


def _report(guard: type[GuardError], message: str) -> None:
    site = _call_site()
    if _mode() == "raise":
        raise guard(f"{site}: {message}")
    log.warning("boundary crossed", guard=guard.__name__, site=site, message=message, stack=traceback.format_stack())


def _modules() -> dict[str, dict[str, Any]]:
    modules: dict[str, dict[str, Any]] = settings.EXTRACTION["modules"]
    return modules


def _mode() -> str:
    return str(settings.EXTRACTION.get("guards", "log"))


@cache
def _module_of_alias() -> dict[str, str]:
    """Module by alias, for aliases that serve one module only."""
    served = Counter(module["database"] for module in _modules().values())
    return {module["database"]: name for name, module in _modules().items() if served[module["database"]] == 1}


@cache
def _owners() -> dict[str, str]:
    """Module by table name."""
    owner = {app: name for name, module in _modules().items() for app in module["apps"]}
    return {
        model._meta.db_table: owner[config.name]
        for config in apps.get_app_configs()
        if config.name in owner
        for model in config.get_models(include_auto_created=True)
    }


@cache
def _table_names() -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(_owners(), key=len, reverse=True)) or "(?!)"
    schemas = "|".join(re.escape(module["schema"]) for module in _modules().values()) or "(?!)"
    string = r"'(?:[^']|'')*'"
    return re.compile(rf"""{string}|(?<![\w."])"?(?:(?:{schemas})"?\."?)?({names})\b(?!"?\.)"?""", re.IGNORECASE)


_START = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
_WRITE = re.compile(rf"{_START}(?:insert|update|delete|merge|truncate|copy)\b", re.I | re.S)
_WRITE_IN_CTE = re.compile(rf"{_START}with\b.*\b(?:insert\s+into|update|delete\s+from|merge\s+into)\b", re.I | re.S)


@lru_cache(maxsize=4096)
def _read(sql: str) -> tuple[frozenset[tuple[str, str]], bool]:
    """Tables of modules that a statement names, with their owners, and whether it writes."""
    owners = _owners()
    found = frozenset(
        (owners[name], name) for match in _table_names().finditer(sql) if (name := match[1]) and name in owners
    )
    return found, bool(_WRITE.match(sql) or _WRITE_IN_CTE.match(sql))


def _in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """In an atomic block that is not the one a TestCase wraps around a test."""
    return any(not block._from_testcase for block in connection.atomic_blocks)  # type: ignore[attr-defined]


def _open_modules() -> list[str]:
    module_of = _module_of_alias()
    return [
        module_of[connection.alias]
        for connection in connections.all(initialized_only=True)
        if connection.alias in module_of and _in_transaction(connection)
    ]


def _call_site() -> str:
    """File, line and function nearest to the statement: in a module's code, else anywhere in the project."""
    nearest, frame = "?", sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        path = frame.f_code.co_filename
        if path == __file__ or "site-packages" in path or "/lib/python" in path:
            continue
        site = f"{os.path.relpath(path)}:{frame.f_lineno} in {frame.f_code.co_name}"
        if path.startswith(_module_paths()):
            return site
        nearest = site if nearest == "?" else nearest
    return nearest


@cache
def _module_paths() -> tuple[str, ...]:
    mine = {app for module in _modules().values() for app in module["apps"]}
    return tuple(config.path + os.sep for config in apps.get_app_configs() if config.name in mine)
