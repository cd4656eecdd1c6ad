"""The composition root: which implementation answers which contract, and where what is not here lives."""

from collections.abc import Callable
from importlib import import_module

from django.conf import settings

from contracts.runtime import Remote, bind, configure
from contracts.runtime.definitions import definitions
from extraction.boundaries.operations import Operation, note_outside
from extraction.placement import where


def wire() -> None:
    """Called once, when all apps are loaded."""
    configure(
        unit=settings.UNIT,
        strict=settings.CONTRACTS_STRICT,
        modules=frozenset(settings.MODULES),
        urls={module: tuple(of["urls"]) for module, of in settings.EXTRACTION["modules"].items()},
        resolve=resolver(),
        at_home=lambda module: where.place_now(module).here,
        operation=Operation,
        outside=note_outside,
        signing_key=settings.SERVICE_SIGNING_KEY,
        public_keys=settings.SERVICE_PUBLIC_KEYS,
    )
    for module in settings.MODULES:
        bind(definitions()[module].protocol, import_module(f"modules.{module}.contract").IMPLEMENTATION)
        import_module(f"modules.{module}.handlers")


def resolver() -> Callable[[str], Remote | None]:
    """Where a module is asked and told: at its explicit address, where its placement row says, or by the unit that all
    others left, which knows."""
    given = {module: Remote(unit=module, url=url.geturl()) for module, url in settings.REMOTE.items()}
    installed, origin = frozenset(settings.MODULES), settings.ORIGIN_UNIT
    asks_origin = bool(settings.UNITS_URL) and origin != settings.UNIT

    def resolve(module: str) -> Remote | None:
        if module in given:
            return given[module]
        if module in installed:
            place = where.place(module)
            return None if place.here else _unit(place.home, module)
        return _unit(origin, module) if asks_origin else None

    return resolve


def _unit(unit: str, module: str) -> Remote:
    """Through the internal listener, which knows the unit of a module at each moment."""
    return Remote(unit=unit, url=f"{settings.UNITS_URL}/{module}" if settings.UNITS_URL else "")
