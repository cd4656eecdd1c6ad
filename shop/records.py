"""What is known of each unit that runs here, a file for each: it outlives processes, also one that is killed."""

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from django.conf import settings

from extraction.platform.errors import NoServer

Stage = Literal["recorded", "provided", "started"]
"""A record is there before the first process; then the database is; then the processes are."""
SECOND = ".b"
"""Ends the names of every other release's processes: two releases run side by side while one takes over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit, as it was last started."""

    name: str
    modules: tuple[str, ...]
    stage: Stage = "recorded"
    is_embedded: bool = True
    """Whether its server is one of ours."""
    web_processes: int = 2
    web_threads: int = 8
    worker_processes: int = 1
    port: int = 0
    """Where its web server listens, on 127.0.0.1."""
    number: int = 0
    """Of its release; each start and each deploy is one."""
    second: bool = False

    @property
    def release(self) -> str:
        return f"r{self.number}"

    @property
    def web(self) -> str:
        return self.process("web")

    @property
    def workers(self) -> tuple[str, ...]:
        """The names of its worker processes."""
        return (self.process("worker"), *((self.process("errands"),) if "payments" in self.modules else ()))

    @property
    def processes(self) -> tuple[str, ...]:
        """The names of all but its server."""
        return (self.web, *self.workers)

    def process(self, role: str) -> str:
        """The name of a process of this release: web, worker-inventory, web.b."""
        of_unit = role if self.name == settings.ORIGIN_UNIT else f"{role}-{self.name}"
        return f"{of_unit}{SECOND}" if self.second else of_unit

    def next(self, *, port: int) -> "Unit":
        """The release that takes over from this one, beside it."""
        return replace(self, port=port, number=self.number + 1, second=not self.second)


class Records:
    """The units of a state directory."""

    def __init__(self, state: Path) -> None:
        self.directory = state / "units"

    def folder(self, name: str) -> Path:
        """Where the unit's server, variables and record are kept."""
        return self.directory / name

    def all(self) -> list[Unit]:
        """Every unit on record, by name."""
        names = sorted(file.parent.name for file in self.directory.glob(f"*/{_FILE}"))
        return [unit for name in names if (unit := self.find(name)) is not None]

    def find(self, name: str) -> Unit | None:
        """The unit of this name, if it is on record."""
        try:
            known = json.loads((self.folder(name) / _FILE).read_text())
        except FileNotFoundError:
            return None
        return Unit(**{**known, "modules": tuple(known["modules"])})

    def get(self, name: str) -> Unit:
        """The unit of this name. Raises NoServer."""
        unit = self.find(name)
        if unit is None:
            known = ", ".join(each.name for each in self.all()) or "none"
            raise NoServer(
                f"no unit {name!r} is on record here (there are: {known}); make it: extract provision {name}"
            )
        return unit

    def keep(self, unit: Unit) -> Unit:
        """Write it down, for good."""
        folder = self.folder(unit.name)
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{_FILE}.new"
        with new.open("w") as output:
            json.dump(asdict(unit), output)
            output.flush()
            os.fsync(output.fileno())
        new.replace(folder / _FILE)
        return unit

    def forget(self, name: str) -> None:
        (self.folder(name) / _FILE).unlink(missing_ok=True)


_FILE = "unit.json"
