"""Which files of a house can be imported, and by which name.

More than grimp finds by itself: what stands in a folder without __init__.py, wherever that is, and a single file at the
root. A name with a further dot (`data.v2.py`) is none that an import can say: such a file or folder is left out. A
folder whose name is no identifier is followed in a module alone.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from grimp.application.ports.filesystem import AbstractFileSystem
from grimp.application.ports.modulefinder import AbstractModuleFinder, FoundPackage, ModuleFile
from grimp.application.scanning import scan_imports
from grimp.domain.valueobjects import Module
from grimp.exceptions import SourceSyntaxError

from extraction.boundaries.house import House, walk

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, or a folder, whose imports are not known."""

    file: Path
    why: str
    line: int = 0
    """0 where grimp does not say."""
    module: str = ""
    """By which it is imported; empty of a folder."""


class Files(AbstractModuleFinder):
    """Finds for grimp. A folder without __init__.py is a module that imports nothing."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.of: dict[str, Path] = {}
        """By module."""
        self.empty: set[str] = set()
        """Modules that have nothing to read: folders, and what cannot be read."""
        self.unreadable: dict[Path, Unreadable] = {}

    def find_package(self, package_name: str, package_directory: str, file_system: AbstractFileSystem) -> FoundPackage:
        found = dict(self._modules(package_name, Path(package_directory)))
        for name in list(found):
            above = name.rpartition(".")[0]
            while len(above) >= len(package_name) and above not in found:
                found[above] = 0.0
                self.empty.add(above)
                above = above.rpartition(".")[0]
        return FoundPackage(
            name=package_name,
            directory=package_directory,
            module_files=frozenset(ModuleFile(module=Module(name), mtime=mtime) for name, mtime in found.items()),
        )

    def without_unreadable(self, files: list[ModuleFile]) -> bool:
        """Try each of these alone, and leave out what cannot be read. Whether anything was left out, or has gone."""
        changed = False
        for file in files:
            name = file.module.name
            path = self.of[name]
            if not path.is_file():
                changed = True
            elif found := _tried(name, path):
                self.unreadable[path] = found
                self.empty.add(name)
                changed = True
        return changed

    def _modules(self, package: str, at: Path) -> Iterator[tuple[str, float]]:
        """Each with the time of its last change."""
        if not (at / "__init__.py").is_file() and (single := at.with_name(f"{at.name}.py")).is_file():
            yield from self._module(package, str(single))
            return
        for folder, names in walk(at, enters=self._enters, onerror=self._closed):
            dotted = ".".join((package, *Path(folder).relative_to(at).parts))
            for name in names:
                stem, _, suffix = name.partition(".")
                if stem and suffix == "py":
                    is_package = stem == "__init__"
                    yield from self._module(dotted if is_package else f"{dotted}.{stem}", os.path.join(folder, name))

    def _module(self, name: str, path: str) -> Iterator[tuple[str, float]]:
        """None for a broken link, a pipe, and what has gone."""
        try:
            found = os.stat(path)
        except OSError:
            return
        file, why = Path(path), ""
        if _SURROGATE.search(path):
            why = "its name is not UTF-8; rename it"
        elif file.name == "__init__.py" and file.parent.with_name(f"{file.parent.name}.py").is_file():
            why = f"{file.parent.name}.py stands beside this package of the same name; delete one of them"
        if why:
            self.unreadable[file] = Unreadable(file, why, module=name)
        elif stat.S_ISREG(found.st_mode):
            self.of[name] = file
            yield name, max(found.st_mtime, found.st_ctime)  # a copy may keep the one, and never the other

    def _enters(self, folder: str, name: str) -> bool:
        if "." in name or name == "__pycache__":
            return False
        return name.isidentifier() or self.house.owner_of(Path(folder, name)) is not None

    def _closed(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            folder = Path(error.filename)
            self.unreadable[folder] = Unreadable(folder, error.strerror or str(error))


def _tried(name: str, path: Path) -> Unreadable | None:
    """Why grimp cannot read a file."""
    file = ModuleFile(module=Module(name), mtime=0.0)
    at = path.parent if path.name == "__init__.py" else path.with_suffix("")
    package = FoundPackage(name=name, directory=str(at), module_files=frozenset({file}))
    try:
        scan_imports(
            [file], found_packages={package}, include_external_packages=False, exclude_type_checking_imports=False
        )
    except SourceSyntaxError as error:
        return Unreadable(path, "a syntax error", error.lineno or 0, name)
    except (UnicodeError, OSError) as error:
        said = str(error).partition(f"{path}")[2].lstrip(": ")
        return Unreadable(path, re.sub(r"^as UTF-8: (.*)", r"not UTF-8 (\1)", said), module=name)
    return None
