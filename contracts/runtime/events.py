"""Tell other modules: `publish(OrderPlaced(…))` inside the transaction that makes it so."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction as django_transaction
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from contracts.runtime import tracing
from contracts.runtime.definitions import definitions, event_type, event_types, module_of, subscribers_of
from contracts.runtime.errors import UnknownEvent, UnknownSubscriber
from contracts.runtime.outbox import run
from contracts.runtime.transactions import transaction_required

E = TypeVar("E", bound=msgspec.Struct)

RELAY_AFTER_S = 5.0
"""In-process dispatch has this long before the relay looks at a new delivery."""


@dataclass(frozen=True)
class Handler:
    """A function that hears one event type under a stable name."""

    subscriber: str
    event: type[msgspec.Struct]
    function: Callable[[Any], None]


_handlers: dict[str, Handler] = {}


def publish(event: msgspec.Struct) -> None:
    """Write the event to the outbox of its module, in the transaction that is open there.

    After the commit, subscribers in this process run at once, each in its own transaction; the relay delivers
    what is left. Raises TransactionManagementError without an open transaction, UnknownEvent for a struct that
    no contract publishes.
    """
    type_name = event_type(event)
    if event_types().get(type_name) is not type(event):
        raise UnknownEvent(f"{type(event).__name__} ({type_name}) is in no contract's PUBLISHES")
    module = module_of(type_name)
    transaction_required(module)
    from contracts.runtime.dispatch import dispatch

    deliveries = run(
        module,
        "publish",
        id=uuid7(),
        type=type_name,
        key=str(getattr(event, event.KEY)),  # type: ignore[attr-defined]
        data=Jsonb(event, dumps=msgspec.json.encode),
        traceparent=tracing.traceparent(),
        subscribers=list(subscribers_of(type_name)),
        in_s=RELAY_AFTER_S,
    )
    if deliveries:
        ids = [row[0] for row in deliveries]
        django_transaction.on_commit(lambda: dispatch(module, ids), using=module, robust=True)


def handles(event: type[E], *, name: str) -> Callable[[Callable[[E], None]], Callable[[E], None]]:
    """Register a handler. It runs inside one transaction of its module, once for each event.

    `name` is stable for ever: deliveries name it. Raises ImproperlyConfigured at import for a name that the
    module's contract does not list under HEARS.
    """
    module, type_name = module_of(name), event_type(event)
    definition = definitions().get(module)
    if definition is None or definition.hears.get(name) != type_name:
        raise ImproperlyConfigured(
            f"{name} handles {type_name}, which contracts/{module}.py does not say: add it to HEARS, so that the "
            "publisher knows its subscriber wherever it lives"
        )

    def register(function: Callable[[E], None]) -> Callable[[E], None]:
        _handlers[name] = Handler(name, event, function)
        return function

    return register


def handler(subscriber: str) -> Handler:
    """The handler with this name in this unit. Raises UnknownSubscriber."""
    try:
        return _handlers[subscriber]
    except KeyError:
        raise UnknownSubscriber(
            f"no handler is named {subscriber!r} in this unit; it was renamed or removed, or its module is elsewhere"
        ) from None


def handler_names() -> frozenset[str]:
    """Names of all handlers in this unit."""
    return frozenset(_handlers)
