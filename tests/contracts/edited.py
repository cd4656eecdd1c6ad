"""Definition files with a change in them, for the tests of the gate."""

import json
import sys
from functools import cache
from types import ModuleType
from typing import Any

from contracts.runtime.definitions import Definition, definition_of
from contracts.runtime.gate import committed
from contracts.runtime.gate.differences import Difference, differences
from contracts.runtime.gate.published import published

Edit = tuple[str, str]


@cache
def edited(module: str, *edits: Edit) -> Definition:
    """The definition of a module as its file would be after these replacements, each of the first place."""
    source = (committed.DEFINITIONS / f"{module}.py").read_text()
    for old, new in edits:
        assert old in source, old
        source = source.replace(old, new, 1)
    file = ModuleType(f"edited_{module}_{abs(hash(edits))}")
    sys.modules[file.__name__] = file  # where dataclasses and msgspec look up what a class refers to
    exec(compile(source, f"{module}.py", "exec"), file.__dict__)
    return definition_of(module, file)


def document(module: str, *edits: Edit) -> dict[str, Any]:
    """As it is read from a committed file."""
    found: dict[str, Any] = json.loads(committed.text(published(edited(module, *edits))))
    return found


def found(module: str, *edits: Edit) -> list[Difference]:
    """What the edits change in what the module publishes."""
    return list(differences(document(module), document(module, *edits)))


def breaks(module: str, *edits: Edit) -> list[str]:
    return [str(difference) for difference in found(module, *edits) if difference.change.breaks]


def passes(module: str, *edits: Edit) -> list[str]:
    """What is new. Fails where something breaks."""
    assert not breaks(module, *edits)
    return [str(difference) for difference in found(module, *edits)]
