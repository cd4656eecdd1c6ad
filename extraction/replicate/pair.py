"""The two databases of a migration."""

from dataclasses import dataclass, field

from extraction.placement.database import Objects


@dataclass(frozen=True, slots=True)
class Side:
    """A database that holds the module, as the coordinator reaches it: an administrator, on a direct connection."""

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

    @property
    def objects(self) -> Objects:
        return Objects(self.module, self.schema)

    def side(self, unit: str) -> Side:
        """The side of this unit. Raises KeyError."""
        return {self.source.unit: self.source, self.target.unit: self.target}[unit]

    def other(self, unit: str) -> Side:
        """The side that is not this unit's."""
        return self.target if unit == self.source.unit else self.source
