"""Two verbs for transactions of a module, and one question."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections
from django.db import transaction as django_transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from contracts.runtime.configuration import configuration


@contextmanager
def transaction(module: str) -> Iterator[None]:
    """The one transaction of an operation: opens it on the module's alias, commits at the end.

    Never inside another transaction of the module (RuntimeError). Where the caller owns the transaction, use
    `transaction_required`.
    """
    with django_transaction.atomic(using=module, durable=True):
        yield


def transaction_required(module: str) -> None:
    """Raise TransactionManagementError unless a transaction of this module is open."""
    if not in_transaction(module):
        raise TransactionManagementError(f"this needs an open transaction: with transaction({module!r}): …")


def in_transaction(alias: str) -> bool:
    """True inside an atomic block on this alias; the ones a TestCase opens around a test do not count."""
    return any(not block._from_testcase for block in connections[alias].atomic_blocks)  # type: ignore[attr-defined]


def open_transactions() -> list[str]:
    """Modules with an open transaction in this thread."""
    if _thread.modules is not configuration.modules:
        _thread.connections = [connections[module] for module in sorted(configuration.modules)]
        _thread.modules = configuration.modules
    return [
        connection.alias
        for connection in _thread.connections
        if connection.atomic_blocks and in_transaction(connection.alias)
    ]


class _Thread(threading.local):
    """This thread's connections: asked for with every call, and the handler's own look-up is slow."""

    modules: frozenset[str] | None = None
    connections: list[BaseDatabaseWrapper] = []


_thread = _Thread()
