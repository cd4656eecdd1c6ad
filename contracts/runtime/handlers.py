"""Who hears what in this unit: handlers by their stable names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from django.core.exceptions import ImproperlyConfigured

from contracts.runtime.definitions import definitions, event_type, module_of
from contracts.runtime.errors import UnknownSubscriber

E = TypeVar("E", bound=msgspec.Struct)


@dataclass(frozen=True)
class Handler:
    """A function that hears one event type under a stable name."""

    subscriber: str
    event: type[msgspec.Struct]
    function: Callable[[Any], None]


_handlers: dict[str, Handler] = {}


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
