"""What a definition file publishes, as one JSON document: a JSON Schema for each event, call and error."""

from typing import Any

from contracts.runtime.definitions import Definition, event_type
from contracts.runtime.gate.schemas import schemas_of

FORMAT = 2
"""Of the documents; another one is not compared. Those of format 1 did not say all that they do now."""


def published(definition: Definition) -> dict[str, Any]:
    """The document of a module. Raises TypeError for a type that has no JSON form."""
    types: dict[tuple[str, ...], Any] = {}
    for struct in definition.publishes:
        types["events", event_type(struct)] = struct
    for method in definition.methods.values():
        types["calls", method.name, "parameters"] = method.parameters
        types["calls", method.name, "result"] = method.returns
    for name, error in definition.errors.items():
        types["errors", name] = error
    schemas, parts = schemas_of(list(types.values()))
    schema = dict(zip(types, schemas, strict=True))
    return {
        "format": FORMAT,
        "module": definition.module,
        "events": {
            event_type(struct): {
                "key": getattr(struct, "KEY", ""),
                "schema": schema["events", event_type(struct)],
            }
            for struct in definition.publishes
        },
        "calls": {
            method.name: {
                "parameters": schema["calls", method.name, "parameters"],
                "result": schema["calls", method.name, "result"],
                "safe_to_repeat": method.safe_to_repeat,
            }
            for method in definition.methods.values()
        },
        "errors": {
            name: {
                "is_also": sorted(base.__name__ for base in error.__mro__[1:] if base.__name__ in definition.errors),
                "schema": schema["errors", name],
            }
            for name, error in definition.errors.items()
        },
        "$defs": parts,
    }


def nothing_of(module: str) -> dict[str, Any]:
    """The document of a module that publishes nothing, or is gone."""
    return {"format": FORMAT, "module": module, "events": {}, "calls": {}, "errors": {}, "$defs": {}}
