"""Reads the definition files beside this package, so that no list of modules is typed twice."""

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import Any, get_type_hints

import msgspec

import contracts


@dataclass(frozen=True)
class Method:
    """One call of a contract: its parameters as a struct, and how both directions are written."""

    contract: str
    name: str
    parameters: type[msgspec.Struct]
    returns: Any
    safe_to_repeat: bool

    @cached_property
    def label(self) -> str:
        return f"{self.contract}.{self.name}"

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Definition:
    """A definition file, read."""

    module: str
    protocol: type
    methods: dict[str, Method]
    errors: dict[str, type[Exception]]
    publishes: tuple[type[msgspec.Struct], ...]
    hears: dict[str, str]


@cache
def definitions() -> dict[str, Definition]:
    """Every module's definition, by module name."""
    names = sorted(info.name for info in pkgutil.iter_modules(contracts.__path__) if not info.ispkg)
    return {name: definition_of(name, import_module(f"contracts.{name}")) for name in names}


@cache
def event_types() -> dict[str, type[msgspec.Struct]]:
    """Event struct by type name, over all contracts."""
    return {event_type(struct): struct for definition in definitions().values() for struct in definition.publishes}


@cache
def subscribers_of(type_name: str) -> tuple[str, ...]:
    """Names of all subscribers that hear this type, wherever they live."""
    return tuple(
        name for definition in definitions().values() for name, heard in definition.hears.items() if heard == type_name
    )


def event_type(event: type[msgspec.Struct] | msgspec.Struct) -> str:
    """`orders.order_placed.v1`, from the struct's tag."""
    return str(event.__struct_config__.tag)


def module_of(dotted: str) -> str:
    """The module that owns an event type or a subscriber name: its first part."""
    return dotted.split(".", 1)[0]


def definition_of(name: str, file: Any) -> Definition:
    """What a definition file says, given as the module that it is when imported. Raises AttributeError, TypeError."""
    protocol: type = file.CONTRACT
    methods = {
        attribute: _method(name, attribute, function, safe_to_repeat=attribute in file.READS)
        for attribute, function in vars(protocol).items()
        if inspect.isfunction(function) and not attribute.startswith("_")
    }
    return Definition(
        module=name,
        protocol=protocol,
        methods=methods,
        errors={error.__name__: error for error in file.ERRORS},
        publishes=tuple(file.PUBLISHES),
        hears=dict(file.HEARS),
    )


def _method(module: str, name: str, function: Callable[..., Any], *, safe_to_repeat: bool) -> Method:
    hints = get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"contracts/{module}.py: {name}({parameter.name}) must be keyword-only")
        field = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
    parameters = msgspec.defstruct(
        f"{module}_{name}",
        fields,
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,  # an owner of an earlier release refuses a parameter that it does not know
        namespace={},
    )
    return Method(
        contract=module, name=name, parameters=parameters, returns=hints["return"], safe_to_repeat=safe_to_repeat
    )
