"""Where the modules of this unit live: their placement rows, remembered for a second.

The rows are read past Django's cursor, so that a look at one neither counts nor shows as a statement of whoever runs.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from extraction import project
from extraction.boundaries.guards import in_transaction
from extraction.boundaries.operations import Refusal
from extraction.logs import get_logger
from extraction.placement.database import Objects
from extraction.placement.retired import is_retired

log = get_logger(__name__)

KNOWN_FOR_S = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """The home of a module, as the row says."""

    home: str
    epoch: int
    here: bool
    """The home is the unit of the database that was asked."""


def place(module: str) -> Place:
    """Not older than KNOWN_FOR_S, unless the database is away or this thread is in a transaction of it: then the last
    that is known, and before that the home that EXTRACTION names."""
    known, until = _known.get(module, (None, 0.0))
    if known is not None and time.monotonic() < until:
        return known
    if known is not None:
        if in_transaction(connections[project.modules()[module].alias]):
            return known  # and no longer than before: another thread asks
        _remember(module, known)  # the other threads do not wait for this one
    try:
        return place_now(module)
    except (DatabaseError, InterfaceError) as error:
        place = _remember(module, known or _at_first(module))
        log.warning(
            "placement not read",
            module=module,
            taken_for_true=place.home,
            epoch=place.epoch,
            error=type(error.__cause__ or error).__name__,
        )
        return place


def place_now(module: str) -> Place:
    """Read from the row. Raises DatabaseError, InterfaceError."""
    of = project.modules()[module]
    connection = connections[of.alias]
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    try:
        with connection.wrap_database_errors:
            return _learn(module, _read(connection, of))
    except (DatabaseError, InterfaceError):
        connection.close_if_unusable_or_obsolete()  # whoever asks again at once gets a new one
        raise


def learn(refusal: Refusal) -> None:
    """What a refusal said, unless something newer is known."""
    if refusal.home and refusal.module in project.modules():
        _learn(refusal.module, Place(home=refusal.home, epoch=refusal.epoch, here=False))


def refusal_behind_conflict(connection: BaseDatabaseWrapper, module: str) -> Refusal | None:
    """What a serialization failure (40001) in the fence of this module hides: outside READ COMMITTED it reads with FOR
    SHARE, and a switch shows as a conflict.

    Asked in a new transaction; called when the failed one is rolled back.
    """
    with _asking(connection):
        found = _learn(module, _read(connection, project.modules()[module]))
        return Refusal(module) if found.here else Refusal(module, home=found.home, epoch=found.epoch)
    return None


def refusal_behind_missing_table(connection: BaseDatabaseWrapper, module: str) -> Refusal | None:
    """What a table of this module that is not there (42P01) hides: those of one that left for good were put aside.

    Asked as above.
    """
    of = project.modules()[module]
    with _asking(connection) as raw:
        if is_retired(raw, Objects(of.name, of.schema)) and not (found := _learn(module, _read(connection, of))).here:
            return Refusal(module, home=found.home, epoch=found.epoch)
    return None


def forget() -> None:
    """Know nothing, as a new process does."""
    _known.clear()
    _units.clear()


_known: dict[str, tuple[Place, float]] = {}
"""By module, and until when it may be taken for true."""
_units: dict[str, str] = {}
"""The name that the database of a module has for itself; it never changes."""


@contextmanager
def _asking(connection: BaseDatabaseWrapper) -> Iterator[psycopg.Connection[Any]]:
    """Its driver's connection, for a transaction of its own; an error of that is no answer."""
    raw = connection.connection
    try:
        with suppress(psycopg.Error):
            yield raw
    finally:
        if not raw.closed and not raw.autocommit:
            raw.rollback()


def _read(connection: BaseDatabaseWrapper, of: project.Module) -> Place:
    objects = Objects(of.name, of.schema)
    row = connection.connection.execute(objects.query("read")).fetchone()
    if row is None:
        return _at_first(of.name)
    unit = _units.get(of.name)
    if unit is None:
        unit = _units[of.name] = connection.connection.execute(objects.query("own_unit")).fetchone()[0]
    return Place(home=row[0], epoch=row[1], here=row[0] == unit)


def _at_first(module: str) -> Place:
    home = project.modules()[module].home
    return Place(home=home, epoch=-1, here=home == project.unit())


def _learn(module: str, place: Place) -> Place:
    known, _ = _known.get(module, (None, 0.0))
    if known is None or place.epoch >= known.epoch:
        _remember(module, place)
    return place


def _remember(module: str, place: Place) -> Place:
    _known[module] = (place, time.monotonic() + KNOWN_FOR_S)
    return place
