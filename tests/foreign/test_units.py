"""A project that says its units in EXTRACTION and types `manage.py units` and `manage.py extract`."""

import json
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from psycopg import sql

from extraction.platform.database import drop_database, with_login
from extraction.platform.local.ports import free_port
from extraction.units import given
from tests.embedded import unembedded
from tests.extraction.conftest import Servers, wait_for

ROOT = Path(__file__).parents[2]
TABLES = """
  create table bank.account (id int primary key, balance int not null);
  insert into bank.account values (1, 100)"""


SLOTS = "select from pg_replication_slots where database = %s and active"


@dataclass(frozen=True)
class Typist:
    """Somebody at the project's terminal."""

    variables: dict[str, str]
    edge: str
    said: list[str] = field(default_factory=list)
    """By `manage.py units`, until everything answered."""

    def type(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def do(self, stage: str, *options: str) -> dict[str, Any]:
        done = self.type("extract", stage, "bank", "--json", *options)
        assert done.returncode == 0, f"{stage}: {done.stdout}{done.stderr}"
        return dict(json.loads(done.stdout))

    @contextmanager
    def units(self) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "units"],
            cwd=ROOT,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            while "answers" not in (line := process.stdout.readline()):
                self.said.append(line)
                assert line, "".join(self.said)
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)

    def answers(self, path: str) -> int:
        with urllib.request.urlopen(f"http://{self.edge}{path}", timeout=30) as response:
            return int(response.status)

    def write(self, unit: str) -> str:
        """What the database of this unit says to a write of the bank."""
        with psycopg.connect(self.variables[f"{unit.upper()}_ADMIN_URL"], autocommit=True) as admin:
            try:
                admin.execute("update bank.account set balance = balance + 1")
            except psycopg.DatabaseError as error:
                return str(error.sqlstate)
        return "written"


@pytest.fixture
def typist(servers: Servers) -> Iterator[Typist]:
    mark = secrets.token_hex(3)
    name, password = f"project_{mark}", secrets.token_urlsafe(12)
    source, target = servers.source.postgres, servers.target.postgres
    state = Path(tempfile.mkdtemp(prefix="units-"))
    (state / "bank").mkdir()
    (state / "bank" / "index.html").write_text("the bank")
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    with psycopg.connect(source.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password {}").format(sql.Identifier(name), sql.Literal(password)))
        admin.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(name)))
    variables = unembedded() | {
        "DJANGO_SETTINGS_MODULE": "tests.foreign.project",
        "TEST_STATE": str(state),
        "TEST_ADDRESSES": " ".join(addresses),
        "BANK_LOGIN_URL": with_login(source.url(), role=name, password=password, database=name),
        "MONOLITH_ADMIN_URL": source.url(name),
        "BANK_ADMIN_URL": target.url(name),
        "BANK_URL": with_login(target.url(), role=f"bank_{mark}", password=password, database=name),
    }
    with psycopg.connect(variables["BANK_LOGIN_URL"], autocommit=True) as owner:
        owner.execute("create schema bank")
        owner.execute(TABLES)
    opened = Typist(variables, addresses[0])
    done = opened.type("migrate", "-v", "0")
    assert done.returncode == 0, done.stderr
    yield opened
    for server in (target, source):
        _drop(server.url(name), name)
    for server, role in ((source, name), (target, f"bank_{mark}")):
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(role)))
    shutil.rmtree(state)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_module_of_another_project_leaves_and_comes_back(typist: Typist) -> None:
    with typist.units():
        assert typist.answers("/bank/") == 200
        for stage in ("provision", "replicate", "verify"):
            typist.do(stage)
        ramp = typist.do("ramp", "--override", "nobody reads", "--hold-s", "0")
        assert [step["percent"] for step in ramp["evidence"]["steps"]] == [1, 10, 50, 100]
        typist.do("cutover")
        assert (typist.write("monolith"), typist.write("bank")) == ("MV001", "written")
    with typist.units():  # the edge and the unit are there again, and the routes as they were
        assert typist.answers("/bank/") == 200
        routing = json.loads((Path(typist.variables["TEST_STATE"]) / "var/edge/routing.json").read_text())
        assert [routes["home"] for routes in routing["modules"]] == ["bank"]
        typist.do("rollback")
        assert (typist.write("bank"), typist.write("monolith")) == ("MV001", "written")
        typist.do("abort")
    with psycopg.connect(typist.variables["MONOLITH_ADMIN_URL"]) as admin:
        assert admin.execute("select balance from bank.account").fetchone() == (102,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(typist.variables["BANK_ADMIN_URL"])


def test_a_stage_that_needs_the_edge_says_how_to_run_it(typist: Typist) -> None:
    done = typist.type("extract", "provision", "bank")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("in another terminal: manage.py units")


def test_a_url_that_is_not_said_is_asked_for(typist: Typist) -> None:
    done = typist.type("extract", "provision", "bank", BANK_ADMIN_URL="")
    assert done.returncode == 1
    assert "export BANK_ADMIN_URL=postgresql://role:password@host:5432/database" in done.stderr


def test_everything_ends_with_the_units(typist: Typist) -> None:
    with typist.units() as process:
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
        assert children
        process.kill()
        process.wait()
        wait_for(lambda: not any(Path(f"/proc/{pid}").exists() and _runs(pid) for pid in children))
        with pytest.raises(OSError, match="refused"):
            typist.answers("/bank/")


def test_a_unit_that_does_not_answer_is_told_and_the_rest_goes_on(typist: Typist) -> None:
    _remember(typist, "bank")
    host, _, port = typist.variables["TEST_ADDRESSES"].split()[2].rpartition(":")
    with socket.create_server((host, int(port))), typist.units():
        assert "bank does not run" in typist.said[0]
        assert "goes on without bank" in "".join(typist.said)
        assert typist.answers("/bank/") == 200


def test_a_unit_gets_no_administrators_url_and_no_other_units_login(typist: Typist) -> None:
    _remember(typist, "bank")
    secret = ("MONOLITH_ADMIN_URL", "BANK_ADMIN_URL", "BANK_URL")
    with typist.units():
        found = {unit: _environment(typist, unit) & set(secret) for unit in ("monolith", "bank")}
    assert found == {"monolith": set(), "bank": {"BANK_URL"}}


def _remember(typist: Typist, unit: str) -> None:
    """As if it had been started before."""
    state = Path(typist.variables["TEST_STATE"]) / "var"
    state.mkdir()
    (state / "started.json").write_text(json.dumps([unit]))


def _environment(typist: Typist, unit: str) -> set[str]:
    """Variables that its process has."""
    pid = (Path(typist.variables["TEST_STATE"]) / f"var/run/{unit}.pid").read_text().split()[0]
    return {line.partition(b"=")[0].decode() for line in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}


def _drop(url: str, name: str) -> None:
    """Also where a test failed half-way, with streams between the two."""
    with suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as admin:
        for (subscription,) in admin.execute("select subname from pg_subscription where subdbid = (select oid from "
                                             "pg_database where datname = current_database())").fetchall():  # fmt: skip
            for change in ("disable", "set (slot_name = none)"):
                admin.execute(sql.SQL("alter subscription {} " + change).format(sql.Identifier(subscription)))
            admin.execute(sql.SQL("drop subscription {}").format(sql.Identifier(subscription)))
    server = url.rpartition("/")[0] + "/postgres"
    with psycopg.connect(server, autocommit=True) as admin:
        wait_for(lambda: admin.execute(SLOTS, (name,)).fetchall() == [], within_s=60)
        for (slot,) in admin.execute(
            "select slot_name from pg_replication_slots where database = %s", (name,)
        ).fetchall():
            admin.execute("select pg_drop_replication_slot(%s)", (slot,))
    drop_database(server, name)


def _runs(pid: str) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"address": "127.0.0.1:1"}, "has no administrator; add it"),
        ({"administrator": "postgresql://a:b@c/d", "address": "127.0.0.1:1"}, "is a URL; put it into an environment"),
        ({"administrator": "A", "address": "localhost:1"}, "is no address; give an IP address and a port"),
        ({"administrator": "A", "address": "127.0.0.1:1", "command": "run it"}, "is a list of words"),
        ({"administrator": "A", "address": "127.0.0.1:1", "comand": []}, "has comand; it takes address, administrator"),
    ],
)
def test_what_is_wrong_in_the_settings_is_said(wrong: dict[str, Any], message: str, settings: Any) -> None:
    settings.EXTRACTION = {"units": {"bank": wrong}}
    with pytest.raises(ImproperlyConfigured, match=message):
        given.unit("bank")
