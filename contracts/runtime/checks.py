"""What must hold between contract files and handlers, seen at start."""

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error, register

from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import definitions, event_type, event_types, module_of
from contracts.runtime.handlers import handler_names


@register()
def contracts_agree_with_handlers(app_configs: Sequence[Any] | None, **_: Any) -> list[CheckMessage]:
    """E001 heard and not handled, E002 an event type that nobody publishes, E003 a name of another module."""
    found: list[CheckMessage] = []
    for module, definition in definitions().items():
        found += [
            Error(
                f"contracts/{module}.py publishes {event_type(struct)}",
                hint=f"A module publishes its own events: begin the tag with '{module}.'.",
                id="contracts.E003",
            )
            for struct in definition.publishes
            if module_of(event_type(struct)) != module
        ]
        for subscriber, heard in definition.hears.items():
            if module_of(subscriber) != module:
                found.append(
                    Error(
                        f"contracts/{module}.py hears as {subscriber!r}",
                        hint=f"A subscriber belongs to its module: begin the name with '{module}.'.",
                        id="contracts.E003",
                    )
                )
            if heard not in event_types():
                found.append(
                    Error(
                        f"{subscriber} hears {heard}, which no contract publishes",
                        hint="Correct the type in HEARS, or add the event to the publisher's PUBLISHES.",
                        id="contracts.E002",
                    )
                )
            elif module in configuration.modules and subscriber not in handler_names():
                found.append(
                    Error(
                        f"{subscriber} hears {heard} and has no handler",
                        hint=f"Write it in modules/{module}/handlers.py: @handles(…, name={subscriber!r}).",
                        id="contracts.E001",
                    )
                )
    return found
