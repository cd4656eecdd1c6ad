"""A project's modules as its source shows them; nothing of the project has to be importable."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A module: its packages in the source, and its names in Django and in the database."""

    name: str
    packages: tuple[str, ...]
    """Dotted: `modules.orders`."""
    labels: tuple[str, ...]
    """Of its apps: `orders`."""
    alias: str = ""
    schema: str = ""
    team: str = ""


@dataclass(frozen=True)
class House:
    """The modules, and the directory in which their packages stand."""

    root: Path
    members: tuple[Member, ...]
    published: tuple[str, ...] = field(default=())
    """Packages of the published language, which every module may know and which know none: `contracts.orders`."""
    cache: Path | None = None
    """Where a reader keeps what it read, for the next time; none: nowhere."""
    user_model: str = ""
    """Of accounts: `auth.User`; empty where that is not known."""
    known: dict[str, Any] = field(default_factory=dict, init=False, compare=False, repr=False)
    """What one layer has read and another wants too; a house is of one run."""

    def member(self, name: str) -> Member:
        """Raises KeyError."""
        for each in self.members:
            if each.name == name:
                return each
        raise KeyError(f"no module {name!r}; there are {', '.join(self.names)}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.members)

    @cached_property
    def by_label(self) -> dict[str, Member]:
        return {label: each for each in self.members for label in each.labels}

    @cached_property
    def by_package(self) -> dict[str, Member]:
        return {package: each for each in self.members for package in each.packages}

    def owner(self, dotted: str) -> Member | None:
        """Whose a dotted name is: that of the longest package it begins with."""
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            if found := self.by_package.get(".".join(parts[:end])):
                return found
        return None

    def is_published(self, dotted: str) -> bool:
        """Whether every module may know it."""
        return any(dotted == each or dotted.startswith(f"{each}.") for each in self.published)

    def directory(self, package: str) -> Path:
        """Of a package; need not exist."""
        return self.root.joinpath(*package.split("."))

    def owner_of(self, file: Path) -> Member | None:
        """Whose a file is. A path from the root, or a whole one."""
        path = file if file.is_absolute() else self.root / file
        try:
            return self.owner(self.dotted(path))
        except ValueError:
            return None

    def dotted(self, path: Path) -> str:
        """What a file is imported as. Raises ValueError where it stands outside of the root."""
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def files(self, member: Member, *suffixes: str) -> Iterator[Path]:
        """The member's files, sorted; those of a member inside its package are the other's."""
        for package in member.packages:
            for path in self.files_of(package, *suffixes):
                if self.owner_of(path) is member:
                    yield path

    def files_of(self, package: str, *suffixes: str) -> Iterator[Path]:
        """A package's files: the single one of its name, and what stands below it, sorted, whoever owns it."""
        at = self.directory(package)
        below = (Path(folder, name) for folder, names in walk(at) for name in names if name.endswith(suffixes))
        for path in (at.with_name(f"{at.name}.py"), *sorted(below)):
            if path.suffix in suffixes and path.is_file():
                yield path

    def shown(self, path: Path) -> str:
        """From the root, with forward slashes."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


def walk(
    at: Path,
    *,
    enters: Callable[[str, str], bool] = lambda folder, name: True,
    onerror: Callable[[OSError], None] | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """Folders from here down, each with the names of its files; what links lead to comes after all the rest.

    A link is followed where none led there before, and never upwards: they may lead into each other.
    """
    waiting, followed = [str(at)], set[str]()
    for start in waiting:  # grows while it is read
        for folder, below, names in os.walk(start, onerror=onerror):
            below[:] = sorted(each for each in below if enters(folder, each))
            for each in below:
                if os.path.islink(path := os.path.join(folder, each)):
                    target = os.path.realpath(path)
                    if target not in followed and not Path(os.path.realpath(folder)).is_relative_to(target):
                        followed.add(target)
                        waiting.append(path)
            yield folder, names
