"""Runtime guards: what works in one process and would mean something else in two.

    ForeignTransaction   SQL of one module while a transaction of another is open: hold-and-wait, and no way to
                         commit both once they are two databases
    SecondCommit         a second commit in one module within a request, handler or call: replaying it after the
                         module moved would double the first
    ForeignTable         SQL for a table of another module

A transaction that ran no statement yet is none: ATOMIC_REQUESTS opens one on each alias, and it holds nothing.

What a guard does is `EXTRACTION["guards"]`: "raise" (tests, `up`), "log" with the call site (production), "off". It
logs once in a process for each place where one module crosses into another, of MOST_TOLD places at most.
`extraction.placement.watch` shows them every statement and commit; no code has to cooperate. What a statement names and
writes is read from its text, so a SELECT of a function that writes is not seen; nor is what goes past Django's cursor:
`cursor.copy()` and the driver's own connection. Outside a transaction a write counts as a second commit only on tables
of the module's models, so that the bookkeeping of messages is none. Tasks may commit more than once: a broker delivers
them more than once as it is.
"""

import traceback
from collections import Counter
from collections.abc import Collection
from functools import cache

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from extraction import project
from extraction.boundaries.callsite import call_site, raised_by_a_signal
from extraction.boundaries.operations import Operation, current
from extraction.logs import get_logger
from extraction.project import of_setting

log = get_logger(__name__)

MOST_TOLD = 1000


class GuardError(Exception):
    """A module boundary was crossed at run time."""

    module = other = site = ""
    """Who crossed it, into whom if that is known, and where: `modules/orders/service.py:12 in order_place`."""


class ForeignTransaction(GuardError):
    """SQL of one module inside a transaction of another."""


class SecondCommit(GuardError):
    """A second commit in one module within one request, handler or call."""


class ForeignTable(GuardError):
    """SQL of one module for a table of another."""


def guard_of(connection: BaseDatabaseWrapper) -> "Guard | None":
    """The guard of a connection whose alias serves one module; none for the others."""
    module = _module_of_alias().get(connection.alias)
    if module is None:
        return None
    guard = Guard(connection, module)
    connection._extraction_guard = guard  # type: ignore[attr-defined]
    return guard


class Guard:
    """Judges the statements and commits of one connection. Each check raises GuardError or logs, as the mode says."""

    def __init__(self, connection: BaseDatabaseWrapper, module: str) -> None:
        self.connection, self.module = connection, module
        self.has_run = False
        """A statement, in the transaction that is open."""

    def before_statement(self, tables: frozenset[tuple[str, str]]) -> None:
        """Its tables are the module's, and no transaction of another module is open."""
        if _mode() == "off":
            return
        for owner, table in tables:
            if owner != self.module:
                _report(
                    ForeignTable,
                    self.module,
                    owner,
                    f"{self.module} runs SQL for {owner}'s table {table}; should {self.module} know it at all? Ask "
                    f"{owner} with a call of contracts/{owner}.py, or hear one of its events",
                )
        if not in_transaction(self.connection):
            return
        if foreign := [other for other in _open_modules() if other != self.module]:
            _report(
                ForeignTransaction,
                foreign[0],
                self.module,
                f"{self.module} runs SQL inside an open transaction of {', '.join(foreign)}; end that first, or "
                "publish an event in it",
            )
        self.has_run = True

    def before_commit(self) -> None:
        """It is the operation's first in this module."""
        operation = current()
        if _mode() == "off" or operation is None or operation.kind == "task":
            return
        if self.module in operation.commits:
            _report(
                SecondCommit,
                self.module,
                "",
                f"{operation.kind} {operation.name} commits a second time in {self.module} (first at "
                f"{operation.commits[self.module]}); one operation, one transaction: if the module moves between "
                "the two, the first can be neither undone nor replayed",
            )

    def committed(self, operation: Operation) -> None:
        """Keep where it was, for the message of the second."""
        if _mode() != "off" and self.module not in operation.commits:
            operation.commits[self.module] = _call_site()

    def transaction_ended(self) -> None:
        self.has_run = False


def in_transaction(connection: BaseDatabaseWrapper) -> bool:
    """In an atomic block that is not the one a TestCase wraps around a test."""
    return any(not block._from_testcase for block in connection.atomic_blocks)  # type: ignore[attr-defined]


@of_setting
@cache
def aliases() -> frozenset[str]:
    """Database aliases that serve a module, or several."""
    return frozenset(module.alias for module in _modules())


def _report(guard: type[GuardError], module: str, other: str, message: str) -> None:
    site = _call_site()
    if _mode() == "raise":
        error = guard(f"{site}: {message}")
        error.module, error.other, error.site = module, other, site
        raise error
    if not _is_told_first(guard.__name__, module, other, site):
        return
    stack = "".join(traceback.format_stack())
    try:
        log.warning("boundary crossed", guard=guard.__name__, site=site, message=message, stack=stack)
    except Exception as error:  # of the project's logging, whatever it is made of
        if raised_by_a_signal(error):
            raise


def _is_told_first(*crossing: str) -> bool:
    told = _told()
    if crossing in told or len(told) >= MOST_TOLD:
        return False
    told.add(crossing)
    return True


@of_setting
@cache
def _told() -> set[tuple[str, ...]]:
    """Guards, modules and places of what this process has logged."""
    return set()


def _modules() -> Collection[project.Module]:
    """None where the setting is wrong: the project starts all the same, and its first statement says what to write."""
    try:
        return project.modules().values()
    except ImproperlyConfigured:
        return ()


@of_setting
@cache
def _mode() -> str:
    return str(project.said().get("guards", "log"))


@of_setting
@cache
def _module_of_alias() -> dict[str, str]:
    """Module by alias, for aliases that serve one module only. `default` serves the rest of the project too."""
    served = Counter(module.alias for module in _modules())
    return {
        module.alias: module.name
        for module in _modules()
        if served[module.alias] == 1 and module.alias != DEFAULT_DB_ALIAS
    }


def _open_modules() -> list[str]:
    """Whose transaction is open and has run a statement."""
    guards = (getattr(each, "_extraction_guard", None) for each in connections.all(initialized_only=True))
    return [guard.module for guard in guards if guard and guard.has_run and in_transaction(guard.connection)]


def _call_site() -> str:
    site = call_site()
    return str(site) if site else "?"
