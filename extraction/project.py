"""What the tooling knows of a project: its setting EXTRACTION, and nothing else.

    EXTRACTION = {
        "unit": "monolith",
        "modules": {"inventory": {"apps": ["modules.inventory"], "database": "inventory", "schema": "inventory",
                                  "urls": ["/api/inventory/"], "home": "monolith"}, …},
        "platform": "shop.units.LocalPlatform",
        "guards": "raise",
    }

A module may name its `"team"`. `"offers"` is read in extraction.boundaries.catalogue, `"recorder"` in
extraction.boundaries.recorder. A wrong word of `"guards"`, `"boundaries"` or `"recorder"` stops the start; a wrong
module is told when the modules are asked for, at the latest by the first statement.

`unit` is the name of what is deployed here. `home` is where a module lives when its database is new, by default here.

A module that has its schema to itself moves with all that is in it. In `public`, or a schema that two modules name, it
is the tables of its apps' models that move, with their partitions and sequences.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import _lru_cache_wrapper, cache
from typing import Any, TypeVar

from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

LONGEST_NAME = 39
"""Names of a module and a unit go into identifiers of PostgreSQL, which end at 63 bytes, and with a suffix into the
queues of pgmq, which end at 47."""
EXAMPLE = '{"apps": ["shop.orders"], "database": "default", "schema": "public"}'

Cached = TypeVar("Cached", bound="_lru_cache_wrapper[Any]")


def of_setting(known: Cached) -> Cached:
    """Above a cache of what EXTRACTION says: it is forgotten when a test overrides the setting."""

    def forget(*, setting: str, **_: Any) -> None:
        if setting == "EXTRACTION":
            known.cache_clear()

    setting_changed.connect(forget, weak=False)
    return known


@dataclass(frozen=True, slots=True)
class Module:
    """A module of this project."""

    name: str
    apps: tuple[str, ...]
    alias: str
    """Its Django database."""
    schema: str
    urls: tuple[str, ...]
    """Prefixes of the paths that it answers."""
    home: str
    """The unit where it lives when its database is new."""
    team: str = ""
    """Who owns it."""


def said() -> dict[str, Any]:
    """EXTRACTION, empty where the project has none; its modules are read by modules(). Raises ImproperlyConfigured."""
    given = _dict("EXTRACTION", getattr(settings, "EXTRACTION", None), f'{{"modules": {{"orders": {EXAMPLE}}}}}')
    _dict('EXTRACTION["recorder"]', given.get("recorder"), '{"share": 0.01, "file": BASE_DIR / "coupling.jsonl"}')
    for key, words in (("guards", ("raise", "log", "off")), ("boundaries", ("error", "warning", "off"))):
        if given.get(key, "off") not in words:
            raise ImproperlyConfigured(f'EXTRACTION["{key}"] is {given[key]!r}; it takes {", ".join(words)}')
    return given


@of_setting
@cache
def modules() -> dict[str, Module]:
    """The modules in this unit, by name; empty where the project names none. Raises ImproperlyConfigured."""
    given = _dict('EXTRACTION["modules"]', said().get("modules"), f'{{"orders": {EXAMPLE}}}')
    for name in given:
        if not isinstance(name, str):
            raise ImproperlyConfigured(f'EXTRACTION["modules"] has the name {name!r}; write it as a text: "{name}"')
    found = {
        name: _module(name, _dict(f'EXTRACTION["modules"]["{name}"]', each, EXAMPLE)) for name, each in given.items()
    }
    if twice := owned_twice((app, module.name) for module in found.values() for app in module.apps):
        raise ImproperlyConfigured(f"EXTRACTION: {twice}")
    return found


def owned_twice(owned: Iterable[tuple[str, str]]) -> str:
    """Which package, of these with their modules, has not one owner, and what to do; empty if each has."""
    owner: dict[str, str] = {}
    for package, name in owned:
        if package in owner:
            both = f"the modules {owner[package]} and {name}" if owner[package] != name else f"the module {name} twice"
            return f"{package!r} is in {both}; a package has one owner: take it out of one of them"
        owner[package] = name
    return ""


@of_setting
@cache
def tables(module: str) -> tuple[str, ...]:
    """The module's tables, where others share its schema: of one that has none its placement alone, for no table at all
    means every one. None where it has a schema to itself. Needs the app registry."""
    of = modules()[module]
    sharing = [other for other in modules().values() if (other.alias, other.schema) == (of.alias, of.schema)]
    is_shared = of.schema == "public" or len(sharing) > 1
    return (model_tables(module) or (f"{module}_placement",)) if is_shared else ()


@of_setting
@cache
def model_tables(module: str) -> tuple[str, ...]:
    """Those of its apps' models that migrations make, and of the relations between them."""
    mine = modules()[module].apps
    found = {
        model._meta.db_table
        for config in apps.get_app_configs()
        if config.name in mine
        for model in config.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    }
    return tuple(sorted(found))


def unit() -> str:
    """The name of this unit. Raises ImproperlyConfigured."""
    return _short(str(said().get("unit", "monolith")))


def _dict(name: str, given: Any, example: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise ImproperlyConfigured(f"{name} is {given!r}; it takes a dictionary: {example}")
    return given


def _names(module: str, key: str, given: Any, example: str) -> tuple[str, ...]:
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise ImproperlyConfigured(
            f'EXTRACTION: module {module!r}: its {key} are {given!r}; write a list: ["{example}"]'
        )
    return tuple(given)


def _module(name: str, given: dict[str, object]) -> Module:
    for given_name in (name, str(given.get("schema", "")), str(given.get("home") or unit())):
        if "%" in given_name:  # psycopg would take it for a placeholder
            raise ImproperlyConfigured(f"EXTRACTION: {given_name!r} has a percent sign; leave it out of the name")
    try:
        return Module(
            name=_short(name),
            apps=_names(name, "apps", given["apps"], f"shop.{name}"),
            alias=str(given["database"]),
            schema=str(given["schema"]),
            urls=_names(name, "urls", given.get("urls", ()), f"/{name}/"),
            home=str(given.get("home") or unit()),
            team=str(given.get("team", "")),
        )
    except KeyError as error:
        raise ImproperlyConfigured(f"EXTRACTION: module {name!r} has no {error}; add it") from None


def _short(name: str) -> str:
    if len(name) > LONGEST_NAME:
        raise ImproperlyConfigured(f"EXTRACTION: {name!r} is longer than {LONGEST_NAME} characters; shorten it")
    return name
