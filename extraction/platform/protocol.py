"""What the tooling asks of the place where units run. The project names an implementation: EXTRACTION["platform"]."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

Tell = Callable[[str], None]
"""Says what is being done, a sentence each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Routes:
    """Where the edge sends a module's requests. Reads: `candidate_percent` of them to `candidate`, the rest home."""

    module: str
    home: str
    """The unit that takes writes and contract calls."""
    candidate: str = ""
    """Another unit that can answer reads, without a share those that the home cannot; none while empty."""
    candidate_percent: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempts:
    """What a unit was sent for a module's reads, counted at the edge since it started."""

    total: int
    failed: int
    """Answered 5xx or not at all, also where another unit answered in its place."""


class Platform(Protocol):
    """Everything may be called again after a kill, and then ends in the same state."""

    def admin_url(self, unit: str, module: str) -> str:
        """The administrator's URL of the database where this unit keeps the module, on a direct connection. Raises
        PlatformError when there is none."""
        ...

    def provide_database(self, module: str, *, unit: str, tell: Tell) -> None:
        """A server for the unit, its database, its roles, its empty tables, made by the unit's own migrations."""
        ...

    def start(self, module: str, *, unit: str, tell: Tell) -> None:
        """The unit's processes, standing by; returns when they answer."""
        ...

    def retire(self, module: str, *, unit: str, tell: Tell) -> None:
        """Stop the unit's processes and take its server, database, queues and files away."""
        ...

    def seal(self, module: str, *, unit: str, tell: Tell) -> None:
        """Make sure that the unit's processes and the server of its database are stopped, and that this server, should
        somebody start it again, starts with `extraction.closed` naming the module. Raises PlatformError where it cannot
        be sure."""
        ...

    def route(self, routes: Routes) -> None:
        """Send the module's requests so from now on; returns when the edge does."""
        ...

    def routes(self, module: str) -> Routes:
        """As they are now."""
        ...

    def waiting(self, module: str, *, unit: str) -> int | None:
        """Tasks of the module that wait in this unit's queues, also those for a later time; None where that cannot be
        told."""
        ...

    def attempts(self, module: str, *, unit: str) -> Attempts:
        """Reads of the module that were sent to this unit."""
        ...


def platform() -> Platform:
    """The project's platform. Raises ImproperlyConfigured."""
    path = settings.EXTRACTION.get("platform")
    if not path:
        raise ImproperlyConfigured('EXTRACTION names no "platform": the dotted path of a class like Platform')
    found: Platform = import_string(path)()
    return found
