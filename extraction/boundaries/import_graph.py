"""Who imports whom, read by grimp from the source: nothing is imported, and newer syntax than this Python's will do.

A file that cannot be parsed is left out and told; what it imports is not known, that it is imported is.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import grimp
from grimp.adaptors.modulefinder import ModuleFinder
from grimp.adaptors.packagefinder import ImportLibPackageFinder
from grimp.application.config import settings
from grimp.application.ports.modulefinder import FoundPackage, ModuleFile
from grimp.domain.valueobjects import Module
from grimp.exceptions import SourceSyntaxError

from extraction.boundaries.findings import Skipped
from extraction.boundaries.house import House

MOST_UNREADABLE = 50
_log = logging.getLogger("grimp")
_FILE_OF_ERROR = re.compile(r"Failed to decode file (.+) as UTF-8: (.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that grimp could not parse."""

    file: Path
    line: int
    """0 where grimp does not say."""
    why: str


@dataclass(frozen=True)
class Imports:
    """The graph of some packages of a house."""

    house: House
    graph: grimp.ImportGraph
    packages: tuple[str, ...]
    """At the top, all of whose modules it holds."""
    unreadable: tuple[Unreadable, ...] = field(default=())
    _files: dict[str, str] = field(default_factory=dict, compare=False)

    @cached_property
    def of(self) -> dict[str, list[str]]:
        """What each module of the packages imports, sorted."""
        tops = set(self.packages)
        return {
            module: sorted(self.graph.find_modules_directly_imported_by(module))
            for module in sorted(self.graph.modules)
            if module.partition(".")[0] in tops
        }

    def lines(self, importer: str, imported: str) -> list[int]:
        """Where it is imported."""
        return sorted(
            {each["line_number"] for each in self.graph.get_import_details(importer=importer, imported=imported)}
        )

    def file(self, module: str) -> str:
        """Of a module, from the root."""
        if module not in self._files:  # a way through helpers passes the same ones again and again
            at = self.house.directory(module)
            single = at.with_name(f"{at.name}.py")
            self._files[module] = self.house.shown(single if single.is_file() else at / "__init__.py")
        return self._files[module]


def read(
    house: House,
    packages: Sequence[str],
    *,
    external: bool,
    type_checking: bool = True,
) -> Imports:
    """The graph of these packages, which stand at the root of the house or are installed.

    `external` has what they import from elsewhere too, `type_checking` what only a type checker imports. Raises
    Skipped.
    """
    bad: list[Unreadable] = []
    with _reading(house.root) as finder:
        while True:
            try:
                graph = grimp.build_graph(
                    *packages,
                    include_external_packages=external,
                    exclude_type_checking_imports=not type_checking,
                    cache_dir=_kept_in(house, packages, external, type_checking),
                )
                return Imports(house, graph, tuple(packages), tuple(bad))
            except (SourceSyntaxError, UnicodeError) as error:
                found = _unreadable(error)
                if found is None or found.file in finder.without or len(bad) == MOST_UNREADABLE:
                    raise Skipped(f"the imports cannot be read: {error}") from error
                bad.append(found)
                finder.without.add(found.file)


def packages_of(house: House) -> list[str]:
    """All that can be imported from the root of the house: packages, single files, and its modules' own packages."""
    mine = {package.partition(".")[0] for member in house.members for package in member.packages}
    found = {
        entry.stem
        for entry in house.root.iterdir()
        if entry.stem.isidentifier()
        and (
            (entry.suffix == ".py" and entry.is_file())
            or (not entry.suffix and ((entry / "__init__.py").is_file() or (entry.name in mine and entry.is_dir())))
        )
    }
    return sorted(found)


class _AtRoot(ImportLibPackageFinder):
    """Packages of the root first: what this process has imported under the same name is another checkout's."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def determine_package_directories(self, package_name: str, file_system: Any) -> set[str]:
        at = self.root.joinpath(*package_name.split("."))
        if at.is_dir() or at.with_name(f"{at.name}.py").is_file():
            return {str(at)}
        return super().determine_package_directories(package_name, file_system)


class _Readable(ModuleFinder):
    """Modules of a package but for the files that cannot be read. A single file at the root is a package too."""

    def __init__(self) -> None:
        self.without: set[Path] = set()

    def find_package(self, package_name: str, package_directory: str, file_system: Any) -> FoundPackage:
        single = Path(f"{package_directory}.py")
        if single.is_file() and not Path(package_directory).is_dir():
            file = ModuleFile(module=Module(package_name), mtime=single.stat().st_mtime)
            kept = frozenset() if single in self.without else frozenset({file})
            return FoundPackage(name=package_name, directory=package_directory, module_files=kept)
        found = super().find_package(package_name, package_directory, file_system)
        if not self.without:
            return found
        lost = {self._name(package_name, Path(package_directory), file) for file in self.without}
        return FoundPackage(
            name=found.name,
            directory=found.directory,
            module_files=frozenset(file for file in found.module_files if file.module.name not in lost),
            namespace_packages=found.namespace_packages,
        )

    def _name(self, package: str, directory: Path, file: Path) -> str:
        if not file.is_relative_to(directory):
            return ""
        parts = file.relative_to(directory).with_suffix("").parts
        return ".".join((package, *(parts[:-1] if parts[-1] == "__init__" else parts)))


@contextmanager
def _reading(root: Path) -> Iterator[_Readable]:
    """grimp's finders are of the process; they are put back. It would log every file that it keeps."""
    finders, level = (settings.PACKAGE_FINDER, settings.MODULE_FINDER), _log.level
    finder = _Readable()
    settings.configure(PACKAGE_FINDER=_AtRoot(root), MODULE_FINDER=finder)
    _log.setLevel(logging.WARNING)
    try:
        yield finder
    finally:
        settings.configure(PACKAGE_FINDER=finders[0], MODULE_FINDER=finders[1])
        _log.setLevel(level)


def _unreadable(error: SourceSyntaxError | UnicodeError) -> Unreadable | None:
    if isinstance(error, SourceSyntaxError):
        return Unreadable(Path(error.filename), error.lineno or 0, "a syntax error")
    said = _FILE_OF_ERROR.search(str(error))
    return Unreadable(Path(said[1]), 0, f"not UTF-8 ({said[2]})") if said else None


def _kept_in(house: House, packages: Sequence[str], external: bool, type_checking: bool) -> str | None:
    """A directory for each way of asking: grimp keeps when a file was read for all of them, and what it read for one.

    None where it cannot be written.
    """
    if house.cache is None:
        return None
    asked = hashlib.blake2b(repr((sorted(packages), external, type_checking)).encode(), digest_size=8).hexdigest()
    folder = house.cache / f"imports-{asked}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n")
    except OSError:
        return None
    return str(folder)
