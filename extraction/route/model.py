"""Where requests go: units, their endpoints, and which unit answers for a module."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from extraction.route.errors import RoutingError

NAME = re.compile(r"[a-z][a-z0-9_-]*")
"""Names of units and modules become parts of host names and of Envoy's clusters."""

INTERNAL = "/internal"
"""Paths that only units may ask each other, never at the edge."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a process of a unit listens. `host` is an IP address: Envoy looks no name up."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRoutes:
    """Where a module's requests go. Reads: `candidate_percent` of them to `candidate`; all the rest goes home.

    A candidate without a share answers the reads that the home does not: nobody is there, or it says 502, 503, 504.
    """

    module: str
    urls: tuple[str, ...]
    """Prefixes of paths, in whole segments."""
    home: str
    candidate: str = ""
    candidate_percent: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """All that the edge knows. Raises RoutingError where it contradicts itself."""

    default: str
    """The unit that answers whatever is no module's."""
    units: Mapping[str, tuple[Endpoint, ...]]
    modules: tuple[ModuleRoutes, ...] = field(default=())

    def __post_init__(self) -> None:
        self._check_units()
        for routes in self.modules:
            self._check_module(routes)
        self._check_urls()

    def module(self, name: str) -> ModuleRoutes:
        """The routes of this module. Raises RoutingError."""
        for routes in self.modules:
            if routes.module == name:
                return routes
        known = ", ".join(routes.module for routes in self.modules) or "none"
        raise RoutingError(f"the edge has no routes for the module {name!r} (known: {known}); add them with change()")

    def with_module(self, routes: ModuleRoutes) -> "Routing":
        """This, with these routes in place of the module's former ones."""
        others = tuple(other for other in self.modules if other.module != routes.module)
        return replace(self, modules=tuple(sorted((*others, routes), key=lambda each: each.module)))

    def with_unit(self, unit: str, *endpoints: Endpoint) -> "Routing":
        """This, with the unit at these endpoints."""
        return replace(self, units={**self.units, unit: endpoints})

    def without_unit(self, unit: str) -> "Routing":
        """This, without the unit and the reads that went there. Raises RoutingError while a module lives there."""
        for routes in self.modules:
            if routes.home == unit:
                raise RoutingError(f"{routes.module} lives in {unit}; first: extract rollback {routes.module}")
        left = tuple(
            replace(routes, candidate="", candidate_percent=0.0) if routes.candidate == unit else routes
            for routes in self.modules
        )
        return replace(self, units={name: at for name, at in self.units.items() if name != unit}, modules=left)

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Routing":
        """What `to_json` wrote. Raises RoutingError."""
        try:
            return cls._from(json.loads(text))
        except (ValueError, KeyError, TypeError) as error:
            raise RoutingError(f"this is no routing ({error!r}); write it anew with write()") from error

    @classmethod
    def _from(cls, given: dict[str, Any]) -> "Routing":
        return cls(
            default=given["default"],
            units={unit: tuple(Endpoint(**each) for each in at) for unit, at in given["units"].items()},
            modules=tuple(ModuleRoutes(**{**each, "urls": tuple(each["urls"])}) for each in given["modules"]),
        )

    def _check_units(self) -> None:
        for unit in self.units:
            _check_name("unit", unit)
        self._check_known(self.default, "the default unit")
        for unit, endpoints in self.units.items():
            for endpoint in endpoints:
                if not 0 < endpoint.port < 65536:
                    raise RoutingError(f"unit {unit!r} has the port {endpoint.port}; give one from 1 to 65535")

    def _check_module(self, routes: ModuleRoutes) -> None:
        _check_name("module", routes.module)
        self._check_known(routes.home, f"the home of {routes.module}")
        if routes.candidate:
            self._check_known(routes.candidate, f"the candidate of {routes.module}")
        if not 0 <= routes.candidate_percent <= 100:
            raise RoutingError(
                f"{routes.module}: {routes.candidate_percent} % of its reads cannot go anywhere; give 0 to 100"
            )
        if routes.candidate_percent and not routes.candidate:
            raise RoutingError(f"{routes.module}: a share of its reads goes to no unit; name the candidate, or give 0")
        if routes.candidate == routes.home:
            raise RoutingError(
                f"{routes.module}: home and candidate are both {routes.home!r}; leave the candidate empty"
            )

    def _check_known(self, unit: str, what: str) -> None:
        if not self.units.get(unit):
            known = ", ".join(sorted(self.units)) or "none"
            raise RoutingError(
                f"{what} is {unit!r}, a unit without endpoints (known: {known}); add it with with_unit()"
            )

    def _check_urls(self) -> None:
        names = [routes.module for routes in self.modules]
        for name in names:
            if names.count(name) > 1:
                raise RoutingError(f"{name} has routes twice; keep one")
        owners: dict[str, str] = {}
        for routes in self.modules:
            for url in routes.urls:
                prefix = without_slash(url)
                if not prefix.startswith("/"):
                    raise RoutingError(
                        f"{routes.module}: {url!r} is no path of its own; give one like /api/{routes.module}/"
                    )
                if _overlap(prefix, INTERNAL):
                    raise RoutingError(f"{routes.module}: {url!r} is for units alone; give another path")
                for other, owner in owners.items():
                    if _overlap(prefix, other):
                        raise RoutingError(
                            f"{url!r} of {routes.module} and {other!r} of {owner} overlap; keep one of them"
                        )
                owners[prefix] = routes.module


def without_slash(url: str) -> str:
    """The prefix that ends with its last whole segment."""
    return url.rstrip("/")


def _overlap(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def _check_name(kind: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise RoutingError(f"the {kind} {name!r} cannot be part of a host name; use a-z, 0-9, _ and -, a letter first")
