"""Imports of another module: direct ones, those through helpers, and what a published file may import.

Read from the source by grimp: static, relative, in a function, under TYPE_CHECKING and by wildcard alike. An import of
a published package is none. The project's own contracts of import-linter are held in the same run.

A helper is what stands beside the modules and belongs to none. Only what a module imports is asked whether it leads
into another one; so what composes the modules may know them all, as long as no module knows it. Where a helper leads is
told for each file that imports it, so that what was accepted can only become less: which way it leads there may change.
"""

from collections.abc import Iterator
from sys import stdlib_module_names
from typing import TYPE_CHECKING

from extraction.boundaries.findings import Finding, Skipped
from extraction.boundaries.house import House, Member

if TYPE_CHECKING:
    from extraction.boundaries.import_graph import Imports

PLAIN = frozenset({"annotated_types", "attr", "attrs", "msgspec", "pydantic", "typing_extensions"})
"""What a published file may import besides the standard library: it makes structs of plain values."""


def findings(house: House) -> Iterator[Finding]:
    """E101 to E104, and E001 for a file that cannot be parsed. Raises Skipped."""
    try:
        from extraction.boundaries import linter
        from extraction.boundaries.import_graph import all_of
    except ModuleNotFoundError as error:
        raise Skipped(f"{error.name} is not installed. Type: pip install import-linter") from error

    contracts = linter.contracts_of(house)
    imports = all_of(house, external=bool(house.published) or contracts.external)
    reader = _Reader(house, imports)
    yield from reader.unreadable()
    found = [*reader.direct(), *reader.through_helpers(), *reader.published()]
    yield from found
    yield from linter.broken(contracts, imports, known={(each.path, each.line) for each in found})


class _Reader:
    """The imports of one house."""

    def __init__(self, house: House, imports: "Imports") -> None:
        self.house, self.imports = house, imports
        self.owner: dict[str, Member | None] = {}
        """Of what may not be known from outside; what is published is everybody's."""
        self.shared = set()
        for module in {*imports.of, *(each for found in imports.of.values() for each in found)}:
            if house.is_published(module):
                self.shared.add(module)
            self.owner[module] = None if module in self.shared else house.owner(module)

    def unreadable(self) -> Iterator[Finding]:
        """What cannot be read of the modules, of the published language, and of what these lead to."""
        reached = [name for name in self.imports.of if self.owner[name] or name in self.shared]
        seen = set(reached)
        for name in reached:  # grows while it is read
            new = set(self.imports.of.get(name, ())) - seen
            seen |= new
            reached += new
        for each in self.imports.unreadable:
            owner = self.house.owner_of(each.file)
            if owner or each.module in seen:
                yield Finding(
                    path=self.house.shown(each.file),
                    line=each.line,
                    code="boundaries.E001",
                    module=owner.name if owner else "",
                    other="",
                    what=f"cannot be read: {each.why}; what it imports is not known",
                )

    def direct(self) -> Iterator[Finding]:
        for importer, owner, imported in self._of_members():
            other = self.owner[imported]
            if other is not None and other is not owner:
                for line in self.imports.lines(importer, imported):
                    yield Finding(
                        path=self.imports.file(importer),
                        line=line,
                        code="boundaries.E101",
                        module=owner.name,
                        other=other.name,
                        what=f"imports {imported}",
                    )

    def through_helpers(self) -> Iterator[Finding]:
        ways = {other.name: self._ways_to(other) for other in self.house.members}
        for importer, owner, helper in self._of_members():
            for other, way in ways.items():
                if other != owner.name and helper in way:
                    yield Finding(
                        path=self.imports.file(importer),
                        line=self.imports.lines(importer, helper)[0],
                        code="boundaries.E102",
                        module=owner.name,
                        other=other,
                        what=f"reaches {other} through {helper}\n{self._shown(importer, helper, way)}",
                    )

    def published(self) -> Iterator[Finding]:
        for importer in sorted(self.shared & self.imports.of.keys()):
            for imported in self.imports.of[importer]:
                top = imported.partition(".")[0]
                if imported in self.shared or top in stdlib_module_names or top in PLAIN:
                    continue
                other = self.owner[imported]
                for line in self.imports.lines(importer, imported):
                    yield Finding(
                        path=self.imports.file(importer),
                        line=line,
                        code="boundaries.E103",
                        module=importer,
                        other=other.name if other else top,
                        what=f"imports {imported} into the published language",
                    )

    def _of_members(self) -> Iterator[tuple[str, Member, str]]:
        """What is imported by whom, for every module's files."""
        for importer, found in self.imports.of.items():
            if (owner := self.owner[importer]) is not None:
                for imported in found:
                    yield importer, owner, imported

    def _ways_to(self, other: Member) -> dict[str, str]:
        """By helper that leads into this module: what to follow next on a shortest way."""
        importers: dict[str, list[str]] = {}
        way: dict[str, str] = {}
        for helper, found in self.imports.of.items():
            if self.owner[helper] is not None or helper in self.shared:
                continue
            for imported in found:
                if self.owner[imported] is other:
                    way.setdefault(helper, imported)
                importers.setdefault(imported, []).append(helper)
        reached = list(way)
        for helper in reached:  # grows while it is read
            for importer in importers.get(helper, ()):
                if importer not in way:
                    way[importer] = helper
                    reached.append(importer)
        return way

    def _shown(self, importer: str, helper: str, way: dict[str, str]) -> str:
        """`modules/orders/service.py:3 → shop/helper.py:1 → modules.payments.models`."""
        steps = [importer, helper]
        while steps[-1] in way:
            steps.append(way[steps[-1]])
        return " → ".join((*self.imports.places(steps), steps[-1]))
