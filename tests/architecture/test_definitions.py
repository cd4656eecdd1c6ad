"""The published language stays readable by any unit: plain values, nothing of Django, nothing of a module."""

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import msgspec
import pytest

import contracts
from contracts.runtime.definitions import definitions, event_types, module_of

MODULES = sorted(definitions())


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("module", MODULES)
def test_a_definition_imports_the_standard_library_and_msgspec_alone(module: str) -> None:
    path = Path(contracts.__path__[0]) / f"{module}.py"
    foreign = {name for name in imports_of(path) if name.split(".")[0] not in {*sys.stdlib_module_names, "msgspec"}}
    assert not foreign


@pytest.mark.parametrize("module", MODULES)
def test_what_is_published_is_frozen_and_keyed(module: str) -> None:
    for struct in definitions()[module].publishes:
        assert struct.__struct_config__.frozen, struct
        assert struct.KEY in struct.__struct_fields__  # type: ignore[attr-defined]
    for name, value in vars(import_module(f"contracts.{module}")).items():
        if isinstance(value, type) and issubclass(value, msgspec.Struct):
            assert value.__struct_config__.frozen, name


def test_every_module_has_a_contract_and_every_contract_a_module() -> None:
    root = Path(__file__).resolve().parents[2] / "modules"
    assert sorted(path.parent.name for path in root.glob("*/apps.py")) == MODULES


def test_event_types_carry_module_and_version() -> None:
    for name in event_types():
        module, _, version = name.split(".")
        assert module_of(name) == module
        assert module in MODULES
        assert version.startswith("v")
