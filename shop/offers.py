"""What each module offers the others and takes from them, for the tooling: EXTRACTION["offers"].

Calls and events come from the contracts, handlers from what this unit has registered, and who asks whom from the
source: `use(Inventory).quote(…)` in the modules, and in the shop, which belongs to no module.
"""

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings

from contracts.runtime.definitions import Definition, definitions, event_type, module_of
from contracts.runtime.errors import UnknownSubscriber
from contracts.runtime.handlers import handler
from extraction.boundaries.catalogue import Ask, Call, Event, Hearing, Offer

_QUALIFIER = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")


def offers() -> dict[str, Offer]:
    """By module, of all contracts, whichever modules are in this unit."""
    outside = list(_asks(settings.BASE_DIR / "shop"))
    return {
        name: Offer(
            calls=tuple(_calls(definition)),
            publishes=tuple(map(_event, definition.publishes)),
            hears=tuple(_hearing(subscriber, event) for subscriber, event in definition.hears.items()),
            asks=tuple(ask for ask in _asks(settings.BASE_DIR / "modules" / name) if ask.module != name),
            asked=tuple(ask for ask in outside if ask.module == name),
        )
        for name, definition in definitions().items()
    }


def _calls(definition: Definition) -> Iterator[Call]:
    for name in definition.methods:
        function = getattr(definition.protocol, name)
        signature = inspect.signature(function)
        of_caller = signature.replace(parameters=list(signature.parameters.values())[1:])
        yield Call(name=name, signature=_short(str(of_caller)), does=_first_paragraph(function))


def _event(struct: type[msgspec.Struct]) -> Event:
    fields = msgspec.structs.fields(struct)
    return Event(
        type=event_type(struct),
        fields=", ".join(f"{field.name}: {_short(inspect.formatannotation(field.type))}" for field in fields),
        does=_first_paragraph(struct),
    )


def _hearing(subscriber: str, event: str) -> Hearing:
    try:
        function = handler(subscriber).function
    except UnknownSubscriber:
        place = ""
    else:
        place = f"{function.__module__}.{function.__qualname__}"
    return Hearing(event=event, publisher=module_of(event), name=subscriber, handler=place)


def _asks(directory: Path) -> Iterator[Ask]:
    """In the order of files and lines, tests left out."""
    for path in sorted(directory.rglob("*.py")):
        shown = path.relative_to(settings.BASE_DIR)
        text = path.read_text()
        if "use(" not in text or "tests" in shown.parts:
            continue
        found = {
            Ask(module=module, call=call, path=shown.as_posix(), line=line)
            for module, call, line in _asked_in(ast.parse(text))
        }
        yield from sorted(found, key=lambda ask: (ask.line, ask.call))


def _asked_in(tree: ast.Module) -> Iterator[tuple[str, str, int]]:
    """Module, call and line. A proxy that is kept under a name asks where the name is used."""
    names = dict(_imported(tree))
    parent_of = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    kept: dict[str, str] = {}
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and names.get(node.func.id) == "use"):
            continue
        contract = node.args[0].id if node.args and isinstance(node.args[0], ast.Name) else ""
        module = _module_of_contract().get(names.get(contract, ""))
        if module is None:
            continue
        parent = parent_of[node]
        if isinstance(parent, ast.Attribute):
            yield module, parent.attr, parent.end_lineno or node.lineno
        elif isinstance(parent, ast.Assign) and isinstance(parent.targets[0], ast.Name):
            kept[parent.targets[0].id] = module
        else:
            yield module, "", node.lineno
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in kept:
            yield kept[node.value.id], node.attr, node.lineno


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Names of this file for `use` and for the contracts: `("Stock", "contracts.inventory.Inventory")`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.module or node.level:
            continue
        for alias in node.names:
            name = alias.asname or alias.name
            if alias.name == "use" and node.module.startswith("contracts.runtime"):
                yield name, "use"
            else:
                yield name, f"{node.module}.{alias.name}"


@cache
def _module_of_contract() -> dict[str, str]:
    return {
        f"{definition.protocol.__module__}.{definition.protocol.__qualname__}": name
        for name, definition in definitions().items()
    }


def _first_paragraph(documented: Any) -> str:
    return " ".join(inspect.cleandoc(documented.__doc__ or "").partition("\n\n")[0].split())


def _short(signature: str) -> str:
    """Without the packages of its types."""
    return _QUALIFIER.sub("", signature)
