"""What was read of the imports, for the next run: grimp's own cache, and what it lacks.

What grimp keeps of a file depends on which other files there are, so it holds for that set of files alone; and it is
put in place whole, for two runs may write at once.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from grimp.adaptors.caching import Cache
from grimp.application.ports.caching import CacheMiss
from grimp.application.ports.modulefinder import ModuleFile
from grimp.domain.valueobjects import DirectImport, Module

from extraction.boundaries.import_files import Files

_MARK = "files"


class Kept:
    """Stands where grimp has the class of its cache. Without a folder nothing is kept."""

    def __init__(self, files: Files, folder: Path | None) -> None:
        self.files, self.folder = files, folder
        self.missed: list[ModuleFile] = []
        """What the last graph had to read."""
        self._cache: Cache | None = None

    def setup(self, **asked: Any) -> Self:
        """For one graph."""
        self.missed = []
        if self.folder is not None:
            kept = self.folder if _read(self.folder / _MARK) == self._files_now() else self._new
            try:
                self._cache = Cache.setup(**asked | {"cache_dir": str(kept)})
            except Exception:  # whatever a torn file makes of it
                self._cache = Cache.setup(**asked | {"cache_dir": str(self._new)})
        return self

    def read_imports(self, file: ModuleFile) -> set[DirectImport]:
        """Raises CacheMiss."""
        if file.module.name in self.files.empty:
            return set()
        try:
            if self._cache is None:
                raise CacheMiss
            return self._cache.read_imports(file)
        except CacheMiss:
            self.missed.append(file)
            raise

    def write(self, imports: Mapping[Module, set[DirectImport]]) -> None:
        """Does without where the folder cannot be written."""
        if self._cache is None or self.folder is None or not self.missed:
            return
        self._cache.cache_dir = str(self._new)
        try:
            self._new.mkdir(parents=True)
            self._cache.write({each: found for each, found in imports.items() if each.name not in self.files.empty})
            (self._new / _MARK).write_bytes(self._files_now())
            shutil.rmtree(self.folder, ignore_errors=True)
            self._new.rename(self.folder)
        except OSError:
            shutil.rmtree(self._new, ignore_errors=True)

    @property
    def _new(self) -> Path:
        return Path(f"{self.folder}.{os.getpid()}")

    def _files_now(self) -> bytes:
        return hashlib.blake2b(repr(sorted(self.files.of.items())).encode()).hexdigest().encode()


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
