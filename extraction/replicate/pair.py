"""The two databases of a migration, and the two streams between them."""

import re
from dataclasses import dataclass, field

from extraction.placement.database import Objects

LONGEST_ID = 10
"""With a module's name of 40 characters the longest name of ours then ends within the 63 bytes of PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Side:
    """A database that holds the module, as the coordinator reaches it, on a direct connection.

    The role needs no more than `privileges.grants` says. `url` is empty while the database is still to be made.
    """

    unit: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pair:
    """A migration of one module. `source` is where it lived when the migration began, `target` where it is to live.

    `id` is short, of [a-z0-9_]: it makes the names of slots unique in a whole server.
    """

    id: str
    module: str
    schema: str
    source: Side
    target: Side
    only: tuple[str, ...] = ()
    """The module's tables, where others share its schema; none means all of it."""

    def __post_init__(self) -> None:
        if not re.fullmatch(f"[a-z0-9_]{{1,{LONGEST_ID}}}", self.id):
            raise ValueError(f"{self.id!r} is no id of a migration: 1 to {LONGEST_ID} of a-z, 0-9 and _")

    @property
    def objects(self) -> Objects:
        return Objects(self.module, self.schema, self.only)

    @property
    def name(self) -> str:
        """Begins the names of what the migration makes in a whole server."""
        return f"{re.sub('[^a-z0-9_]', '_', self.module.lower())}_{self.id}"

    @property
    def out(self) -> "Stream":
        return Stream(f"{self.name}_out", publisher=self.source, subscriber=self.target)

    @property
    def back(self) -> "Stream":
        return Stream(f"{self.name}_back", publisher=self.target, subscriber=self.source)

    def side(self, unit: str) -> Side:
        """The side of this unit. Raises KeyError."""
        return {self.source.unit: self.source, self.target.unit: self.target}[unit]

    def other(self, unit: str) -> Side:
        """The side that is not this unit's."""
        return self.target if unit == self.source.unit else self.source


@dataclass(frozen=True, slots=True)
class Stream:
    """One direction. `name` is that of its publication and slot on one side and of its subscription on the other."""

    name: str
    publisher: Side
    subscriber: Side

    @property
    def reader(self) -> str:
        """The login role with which the subscriber's server reads from the publisher's."""
        return f"{self.name}_reader"

    @property
    def writer(self) -> str:
        """The role that owns the subscription; it inherits from the owner of each table, and has no password."""
        return f"{self.name}_writer"
