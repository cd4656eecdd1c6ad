"""The composition root: which implementation answers which contract, and where what is not here lives."""

from collections.abc import Callable
from importlib import import_module

from django.conf import settings

from contracts.runtime import Remote, bind, configure
from contracts.runtime.definitions import definitions
from extraction.boundaries.operations import Operation


def wire() -> None:
    """Called once, when all apps are loaded."""
    configure(
        unit=settings.UNIT,
        strict=settings.CONTRACTS_STRICT,
        modules=frozenset(settings.MODULES),
        resolve=_resolver(),
        operation=Operation,
        signing_key=settings.SERVICE_SIGNING_KEY,
        public_keys=settings.SERVICE_PUBLIC_KEYS,
    )
    for module in settings.MODULES:
        bind(definitions()[module].protocol, import_module(f"modules.{module}.contract").IMPLEMENTATION)
        import_module(f"modules.{module}.handlers")


def _resolver() -> Callable[[str], Remote | None]:
    remote = {module: Remote(unit=module, url=url.geturl()) for module, url in settings.REMOTE.items()}
    return remote.get
