"""Who uses what a module publishes: subscribers from the definitions, callers from the source.

Only read when something is about to break. A caller is found where a file says `use(Inventory)` and `.quote`, an error
where a file that imports the definition says its name: what goes by other names is not found.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from django.apps import apps

import contracts
from contracts.runtime.definitions import Definition

_NOT_READ = {"tests", "migrations", "__pycache__"}


def users_of(kind: str, name: str, definitions: Mapping[str, Definition]) -> tuple[str, ...]:
    """Subscribers for an event, `modules/orders/service.py:49` for a call or an error; empty where nobody is found."""
    module, _, part = name.partition(".")
    if kind == "event":
        return tuple(
            sorted(
                subscriber
                for definition in definitions.values()
                for subscriber, heard in definition.hears.items()
                if heard == name
            )
        )
    if kind == "call":
        definition = definitions.get(module)
        contract = re.escape(definition.protocol.__name__) if definition else r"\w+"
        return tuple(_lines(module, rf"\buse\({contract}\)", rf"\.{re.escape(part)}\b"))
    if kind == "error":
        return tuple(
            _lines(module, rf"\bcontracts(\.| import ){module}\b", rf"^(?!from |import ).*\b{re.escape(part)}\b")
        )
    return ()


def _lines(module: str, in_file: str, in_line: str) -> Iterator[str]:
    """Places of lines, in files of others than the module."""
    root = Path(contracts.__path__[0]).parent
    for file in _sources(root):
        place = file.relative_to(root)
        if module in place.parts[:-1]:
            continue
        source = file.read_text(encoding="utf-8", errors="replace")
        if re.search(in_file, source):
            for number, line in enumerate(source.splitlines(), 1):
                if re.search(in_line, line):
                    yield f"{place.as_posix()}:{number}"


def _sources(root: Path) -> Iterator[Path]:
    """The project's own files: of every package that holds an installed app, that of a module that is not here too."""
    packages = {config.name.partition(".")[0] for config in apps.get_app_configs()} - {"contracts", "extraction"}
    for package in sorted(name for name in packages if (root / name).is_dir()):
        for file in sorted((root / package).rglob("*.py")):
            if not _NOT_READ.intersection(file.relative_to(root).parts):
                yield file
