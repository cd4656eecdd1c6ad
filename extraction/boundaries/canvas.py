"""A module on one page: what it answers, tells, asks, hears and owns, and whose it is."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured
from django.core.management import find_commands

from extraction import project
from extraction.boundaries.catalogue import Ask, Hearing, Offer, offers

REST = "the rest of the project"
"""Who asks a module and is none itself: pages, commands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A table of the module's models."""

    table: str
    model: str
    """`orders.Order`."""
    does: str
    """The first sentence of the model's docstring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One module knows another."""

    asker: str
    """A module, or REST; of an event who hears it."""
    asked: str
    """Of an event who publishes it."""
    what: str
    """A call, or the type of an event."""
    places: tuple[str, ...]
    """Files; of an event who hears it by which name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """All of it that needs no database."""

    name: str
    team: str
    apps: tuple[str, ...]
    alias: str
    schema: str
    urls: tuple[str, ...]
    tables: tuple[Owned, ...]
    commands: tuple[str, ...]
    """Of `manage.py`."""
    offer: Offer | None
    """None where the project does not say."""

    @property
    def asks(self) -> tuple[Ask, ...]:
        return self.offer.asks if self.offer else ()

    @property
    def hears(self) -> tuple[Hearing, ...]:
        return self.offer.hears if self.offer else ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every module of this unit, and who knows whom among all that the project tells of."""

    modules: tuple[Canvas, ...]
    calls: tuple[Edge, ...]
    events: tuple[Edge, ...]
    elsewhere: tuple[str, ...]
    """Modules that the project tells of and that are not in this unit."""

    def canvas(self, name: str) -> Canvas:
        """Raises KeyError."""
        for canvas in self.modules:
            if canvas.name == name:
                return canvas
        raise KeyError(name)


def catalogue() -> Catalogue:
    """Of this project. Needs the app registry. Raises ImproperlyConfigured."""
    told = offers()
    modules = tuple(_canvas(module, told.get(module.name)) for _, module in sorted(project.modules().items()))
    return Catalogue(
        modules=modules,
        calls=tuple(_calls(told)),
        events=tuple(_events(told)),
        elsewhere=tuple(sorted(told.keys() - project.modules().keys())),
    )


def _canvas(module: project.Module, offer: Offer | None) -> Canvas:
    configs = [config for config in apps.get_app_configs() if config.name in module.apps]
    if missing := set(module.apps) - {config.name for config in configs}:
        raise ImproperlyConfigured(
            f"EXTRACTION: module {module.name!r} names {', '.join(sorted(missing))}, which INSTALLED_APPS does not; "
            "write the name that the app's AppConfig has"
        )
    return Canvas(
        name=module.name,
        team=module.team,
        apps=module.apps,
        alias=module.alias,
        schema=module.schema,
        urls=module.urls,
        tables=tuple(sorted(_tables(configs), key=lambda owned: owned.table)),
        commands=tuple(sorted(name for config in configs for name in find_commands(f"{config.path}/management"))),
        offer=offer,
    )


def _tables(configs: list[AppConfig]) -> Iterator[Owned]:
    for config in configs:
        for model in config.get_models(include_auto_created=True):
            if model._meta.managed and not model._meta.proxy:
                yield Owned(table=model._meta.db_table, model=model._meta.label, does=_first_sentence(model.__doc__))


def _first_sentence(text: str | None) -> str:
    """None where Django wrote the docstring itself: `Order(id, state)`."""
    said = " ".join((text or "").partition("\n\n")[0].split())
    first = said.partition(". ")[0]
    return "" if first.partition("(")[0].isidentifier() and first.endswith(")") else first.removesuffix(".")


def _calls(told: dict[str, Offer]) -> Iterator[Edge]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, offer in sorted(told.items()):
        for asker, asks in ((name, offer.asks), (REST, offer.asked)):
            for ask in asks:
                found.setdefault((asker, ask.module, ask.call), []).append(ask.path)
    for (asker, asked, call), paths in sorted(found.items()):
        yield Edge(asker=asker, asked=asked, what=call, places=tuple(dict.fromkeys(paths)))


def _events(told: dict[str, Offer]) -> Iterator[Edge]:
    found: dict[tuple[str, str, str], list[str]] = {}
    for name, offer in sorted(told.items()):
        for hearing in offer.hears:
            found.setdefault((name, hearing.publisher, hearing.event), []).append(hearing.name)
    for (hears, publishes, event), names in sorted(found.items()):
        yield Edge(asker=hears, asked=publishes, what=event, places=tuple(names))
