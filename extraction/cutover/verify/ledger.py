"""What was found equal, kept for a run that goes on after this one."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from extraction.cutover.verify.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk was equal on both sides, with so many rows."""

    rows: int
    at: datetime
    """Of the snapshot."""


class Ledger(Protocol):
    """The chunks of a comparison, and those that were found equal."""

    def begin(self, identity: str) -> dict[str, list[tuple[Chunk, Found | None]]]:
        """What is known of a comparison of this identity, by table; forgets those of others."""
        ...

    def plan(self, chunks: Iterable[Chunk]) -> None:
        """These chunks of a table are all there are."""
        ...

    def found(self, equal: Iterable[tuple[Chunk, Found]]) -> None:
        """These need not be compared again."""
        ...

    def clear(self) -> None:
        """Forget everything: the comparison is done."""
        ...


@dataclass
class Memory:
    """A ledger that ends with this process."""

    _identity: str = ""
    _known: dict[Chunk, Found | None] = field(default_factory=dict)

    def begin(self, identity: str) -> dict[str, list[tuple[Chunk, Found | None]]]:
        if identity != self._identity:
            self.clear()
        self._identity = identity
        by_table: dict[str, list[tuple[Chunk, Found | None]]] = {}
        for chunk, found in self._known.items():
            by_table.setdefault(chunk.table, []).append((chunk, found))
        return by_table

    def plan(self, chunks: Iterable[Chunk]) -> None:
        self._known |= dict.fromkeys(chunks)

    def found(self, equal: Iterable[tuple[Chunk, Found]]) -> None:
        self._known |= dict(equal)

    def clear(self) -> None:
        self._known.clear()
