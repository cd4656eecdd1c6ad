"""A platform of two database servers and an edge that is a file: no processes, so that only the stages are tested."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from extraction.placement.database import Objects
from extraction.platform.database import drop_database
from extraction.platform.errors import NoServer
from extraction.platform.local.postgres import Postgres
from extraction.platform.protocol import Attempts, Routes, Tell
from extraction.queries import Queries

MODULE, SCHEMA, ROLE = "inventory", "inventory", "shop_inventory"
UNIT = "monolith"
EXTRACTION = {
    "unit": UNIT,
    "modules": {
        MODULE: {"apps": [], "database": MODULE, "schema": SCHEMA, "urls": ["/stock/"]},
        "billing": {"apps": [], "database": MODULE, "schema": "billing", "urls": ["/bills/"]},
    },
    "platform": "tests.extraction.two_servers.TwoServers",
    "guards": "off",
}
"""What a project says that has these two servers."""
_queries = Queries(Path(__file__).with_name("tables.sql"))


class TwoServers:
    """Implements extraction.platform.protocol.Platform. Everything is in files of the directory TEST_STATE."""

    def __init__(self) -> None:
        self.state = Path(os.environ["TEST_STATE"])

    def admin_url(self, unit: str, module: str) -> str:
        urls = self._read("urls")
        if unit not in urls:
            raise NoServer(f"{unit} has no database; run: manage.py extract provision {module}")
        return str(urls[unit])

    def provide_database(self, module: str, *, unit: str, tell: Tell) -> None:
        url = os.environ["TEST_TARGET_URL"]
        server, _, name = url.rpartition("/")
        with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
            if not admin.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
                admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        with psycopg.connect(url) as admin:
            admin.execute(sql.SQL("create schema if not exists {} authorization {}").format(*_names(SCHEMA, ROLE)))
            admin.execute(sql.SQL("set local role {}; set local search_path = {}").format(*_names(ROLE, SCHEMA)))
            if not admin.execute("select to_regclass('product')").fetchone()[0]:  # type: ignore[index]
                admin.execute(_queries("tables"))
            Objects(module, SCHEMA).install(admin, unit=unit, home=UNIT)
        self._write("urls", self._read("urls") | {unit: url})
        tell("the tables are there")
        self._break("provide_database")

    def start(self, module: str, *, unit: str, tell: Tell) -> None:
        self._write("started", {unit: True})
        self._break("start")

    def retire(self, module: str, *, unit: str, tell: Tell) -> None:
        urls = self._read("urls")
        if unit in urls:
            server, _, name = urls[unit].rpartition("/")
            drop_database(f"{server}/postgres", name)
        self._write("urls", {known: url for known, url in urls.items() if known != unit})
        self._write("started", {})
        if "TEST_RETIRE_BREAKS" in os.environ:
            raise NoServer("the unit is gone, and the coordinator hears no more of it")

    def seal(self, module: str, *, unit: str, tell: Tell) -> None:
        if unit == UNIT or "TEST_TARGET_DIRECTORY" not in os.environ:
            raise NoServer(f"nobody knows whether the server of {unit} is stopped; stop it and say so")
        Postgres(Path(os.environ["TEST_TARGET_DIRECTORY"])).seal(module)

    def route(self, routes: Routes) -> None:
        self._write("routes", asdict(routes))
        with (self.state / "routed").open("a") as file:
            file.write(f"{routes.home} {routes.candidate_percent:g}\n")

    def routes(self, module: str) -> Routes:
        return Routes(**(self._read("routes") or {"module": module, "home": UNIT}))

    def waiting(self, module: str, *, unit: str) -> int | None:
        """What the test wrote into a file."""
        return int(self._read("waiting").get(unit, 0))

    def attempts(self, module: str, *, unit: str) -> Attempts:
        """Grows by ten reads each time it is asked for, or by none, and by one failed read, where the test says so."""
        counts = self._read("attempts") or {"total": 0, "failed": 0}
        counts["total"] += 0 if "TEST_NOBODY_READS" in os.environ else 10
        if self.routes(module).candidate_percent >= float(os.environ.get("TEST_FAILS_FROM_PERCENT", "101")):
            counts["failed"] += 1
        self._write("attempts", counts)
        return Attempts(**counts)

    def _break(self, where: str) -> None:
        """As if the coordinator had died there."""
        if os.environ.get("TEST_BREAKS_IN") == where:
            raise NoServer(f"{where} was done, and the coordinator hears no more of it")

    def _read(self, name: str) -> dict[str, Any]:
        file = self.state / f"{name}.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def _write(self, name: str, content: dict[str, Any]) -> None:
        new = self.state / f"{name}.new"
        new.write_text(json.dumps(content))
        new.replace(self.state / f"{name}.json")


def _names(*names: str) -> list[sql.Identifier]:
    return list(map(sql.Identifier, names))
