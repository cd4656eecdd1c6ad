"""What a project tells of its modules beyond their code: who answers what, who tells what, who asks and who hears.

`EXTRACTION["offers"]` is the dotted path of a function without arguments that returns an Offer by module name. How a
project carries calls and events is its own affair; this is all that the tooling knows of it.
"""

from dataclasses import dataclass

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from extraction import project


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that a module answers."""

    name: str
    """`quote`, without the module."""
    signature: str
    """`(*, lines: tuple[Line, ...]) -> Quote`."""
    does: str = ""
    """The first paragraph of its docstring."""

    def __str__(self) -> str:
        return f"{self.name}{self.signature}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One type of event that a module publishes."""

    type: str
    """`orders.order_placed.v1`."""
    fields: str
    """`order_id: UUID, total_cents: int`."""
    does: str = ""

    def __str__(self) -> str:
        return self.type


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """An event that a module hears."""

    event: str
    """Its type."""
    publisher: str
    """The module that publishes it; empty where none of this project does."""
    name: str
    """Under which the module hears it: `inventory.reserve_stock`."""
    handler: str = ""
    """Where that is done: `modules.inventory.handlers.reserve_stock`; empty where it is not in this unit."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Ask:
    """A place that asks a module."""

    module: str
    call: str
    """Of that module; empty where the source does not say which."""
    path: str
    """From the root of the project."""
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a module offers to the others, and takes from them."""

    calls: tuple[Call, ...] = ()
    publishes: tuple[Event, ...] = ()
    hears: tuple[Hearing, ...] = ()
    asks: tuple[Ask, ...] = ()
    """Of other modules."""
    asked: tuple[Ask, ...] = ()
    """By code that belongs to no module: pages, commands."""


def offers() -> dict[str, Offer]:
    """By module; empty where the project does not say. Raises ImproperlyConfigured."""
    path = project.said().get("offers")
    if not path:
        return {}
    try:
        tell = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f'EXTRACTION["offers"]: {error}; it is the dotted path of a function that returns an Offer by module'
        ) from error
    found: dict[str, Offer] = tell()
    if not isinstance(found, dict) or not all(isinstance(each, Offer) for each in found.values()):
        raise ImproperlyConfigured(
            f'EXTRACTION["offers"]: {path} returns {found!r:.100}; it returns a dictionary with an Offer of '
            "extraction.boundaries.catalogue for each module"
        )
    return found
