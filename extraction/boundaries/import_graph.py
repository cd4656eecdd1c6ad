"""Who imports whom, read by grimp from the source: nothing is imported, and newer syntax than this Python's will do.

What a file that cannot be parsed imports is not known; that it is imported is.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import grimp
from grimp.adaptors.packagefinder import ImportLibPackageFinder
from grimp.application.config import settings
from grimp.exceptions import SourceSyntaxError

from extraction.boundaries.findings import Skipped
from extraction.boundaries.house import House
from extraction.boundaries.import_cache import Kept
from extraction.boundaries.import_files import Files, Unreadable

_log = logging.getLogger("grimp")


@dataclass(frozen=True)
class Imports:
    """The graph of some packages of a house."""

    house: House
    graph: grimp.ImportGraph
    packages: tuple[str, ...]
    """At the top, all of whose modules it holds."""
    has_external: bool
    """Also what they import from elsewhere."""
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

    def places(self, way: Sequence[str]) -> list[str]:
        """Where each module of a way imports the next: `modules/orders/service.py:3`."""
        return [f"{self.file(one)}:{self.lines(one, next_)[0]}" for one, next_ in pairwise(way)]

    def file(self, module: str) -> str:
        """Of a module, from the root."""
        if module not in self._files:  # a way through helpers passes the same ones again and again
            at = self.house.directory(module)
            single = at.with_name(f"{at.name}.py")
            self._files[module] = self.house.shown(single if single.is_file() else at / "__init__.py")
        return self._files[module]


def all_of(house: House, *, external: bool) -> Imports:
    """The graph of all that can be imported from the root of the house, read once. Raises Skipped."""
    known: Imports | None = house.known.get("imports")
    if known is None or (external and not known.has_external):
        known = house.known["imports"] = read(house, packages_of(house), external=external)
    return known


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
    files = Files(house)
    kept = Kept(files, _folder(house, packages, external, type_checking))
    with _reading(files, kept):
        while True:
            try:
                graph = grimp.build_graph(
                    *packages,
                    include_external_packages=external,
                    exclude_type_checking_imports=not type_checking,
                    cache_dir="",  # Kept knows where
                )
                return Imports(house, graph, tuple(packages), external, tuple(files.unreadable.values()))
            except BaseException as error:
                if not _is_of_a_file(error):
                    raise
                if not files.without_unreadable(kept.missed):
                    raise Skipped(f"the imports cannot be read: {error}") from error


def packages_of(house: House) -> list[str]:
    """All that can be imported from the root of the house: packages, single files, and its modules' own packages.

    A folder without __init__.py counts where a Python file stands in it, or one folder below, unless it is a virtual
    environment.
    """
    mine = {package.partition(".")[0] for member in house.members for package in member.packages}
    found = {
        entry.stem
        for entry in house.root.iterdir()
        if entry.stem.isidentifier()
        and (
            (entry.suffix == ".py" and entry.is_file())
            or (not entry.suffix and entry.is_dir() and (entry.name in mine or _holds_python(entry)))
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


@contextmanager
def _reading(files: Files, kept: Kept) -> Iterator[None]:
    """grimp's finders are of the process; they are put back. It would log every file that it keeps."""
    ours = {"PACKAGE_FINDER": _AtRoot(files.house.root), "MODULE_FINDER": files, "CACHE_CLASS": kept}
    before, level = {name: getattr(settings, name) for name in ours}, _log.level
    settings.configure(**ours)
    _log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        settings.configure(**before)
        _log.setLevel(level)


def _holds_python(folder: Path) -> bool:
    if (folder / "pyvenv.cfg").is_file():
        return False
    return (folder / "__init__.py").is_file() or any(folder.glob("*.py")) or any(folder.glob("*/*.py"))


def _is_of_a_file(error: BaseException) -> bool:
    """Of one that cannot be read, or has gone since it was found: there grimp panics, which is no Exception."""
    return isinstance(error, SourceSyntaxError | UnicodeError | OSError) or type(error).__name__ == "PanicException"


def _folder(house: House, packages: Sequence[str], external: bool, type_checking: bool) -> Path | None:
    """One for each way of asking: grimp keeps when a file was read for all of them, and what it read for one."""
    if house.cache is None:
        return None
    asked = hashlib.blake2b(repr((sorted(packages), external, type_checking)).encode(), digest_size=8).hexdigest()
    return house.cache / f"imports-{asked}"
