"""The command as a person types it, in a project of its own: here, or as a process that can be killed."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from psycopg import sql

from extraction.models import Record
from extraction.placement.database import Objects
from extraction.platform.local.postgres import BINARIES
from extraction.replicate.pair import Pair, Side
from tests.embedded import unembedded
from tests.extraction.conftest import MODULE, Servers, as_owner, connect

ROOT = Path(__file__).resolve().parent.parent.parent
BILLING = Objects("billing", "billing")
ON_A_SERVER = """
select 'slot ' || slot_name from pg_replication_slots
union all select 'publication ' || pubname from pg_publication
union all select 'subscription ' || subname from pg_subscription
  where subdbid = (select oid from pg_database where datname = current_database())
union all select 'trigger ' || tgname from pg_trigger where tgname = 'inventory_fence'
union all select 'role ' || rolname from pg_roles where rolname like 'inventory\\_%'
"""


@dataclass(frozen=True)
class Project:
    """A module on two servers; the records of its migrations are in the test's own database."""

    pair: Pair
    """Its sides; the id is not the migration's."""
    state: Path

    @property
    def variables(self) -> dict[str, str]:
        return {
            "TEST_STATE": str(self.state),
            "TEST_SOURCE_URL": self.pair.source.url,
            "TEST_TARGET_URL": self.pair.target.url,
        }

    def type(self, stage: str, *words: str, **environment: str) -> tuple[int, str, str]:
        """Exit status and both outputs; of the module unless `words` name another."""
        is_named = stage == "status" or (words and not words[0].startswith("-"))
        out, err = StringIO(), StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (self.variables | environment).items():
                patch.setenv(name, value)
            try:
                call_command("extract", stage, *([] if is_named else [MODULE]), *words, stdout=out, stderr=err)
            except CommandError as error:
                return 1, out.getvalue(), f"{err.getvalue()}{error}"
        return 0, out.getvalue(), err.getvalue()

    def do(self, *stages: str) -> dict[str, Any]:
        """These stages, one after another, all done; the document of the last."""
        document: dict[str, Any] = {}
        for stage in stages:
            status, out, err = self.type(stage, "--json", *(["--hold-s", "0.1"] if stage == "ramp" else []))
            assert status == 0, f"{stage}: {out}{err}"
            document = json.loads(out)
        return document

    def refused(self, stage: str, *options: str, **environment: str) -> str:
        """Why this stage was not done."""
        status, out, err = self.type(stage, *options, **environment)
        assert status == 1, f"{stage} was done: {out}"
        return err.strip()

    def status(self) -> dict[str, Any]:
        """What `status` says."""
        status, out, err = self.type("status", MODULE, "--json")
        assert status == 0, err
        return dict(json.loads(out))

    def routed(self) -> list[str]:
        """Home and share of reads, as the edge was told, one after another."""
        file = self.state / "routed"
        return file.read_text().split("\n")[:-1] if file.exists() else []

    def routes(self) -> dict[str, Any]:
        """What the edge was told last."""
        return dict(json.loads((self.state / "routes.json").read_text()))

    def records(self) -> list[Record]:
        """What was recorded, the oldest first."""
        return list(Record.objects.all())


@dataclass(frozen=True)
class Shell:
    """The same project for processes: the records are in a database of their own."""

    project: Project
    records_url: str
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, stage: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        """`manage.py extract STAGE inventory`."""
        process = subprocess.Popen(
            [sys.executable, "manage.py", "extract", stage, MODULE, *options],
            cwd=ROOT,
            env=environment_of(self.records_url) | self.project.variables | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def type(self, stage: str, *options: str, **environment: str) -> tuple[int, str, str]:
        """Exit status and both outputs."""
        process = self.start(stage, *options, **environment)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    def do(self, stage: str, *options: str) -> dict[str, Any]:
        """The stage, done."""
        status, out, err = self.type(stage, *options, "--json")
        assert status == 0, f"{stage}: {out}{err}"
        return dict(json.loads(out))

    def records(self) -> list[tuple[str, str]]:
        """Stage and what came of it, the oldest first."""
        with psycopg.connect(self.records_url) as connection:
            return connection.execute("select stage, what from extraction_record order by id").fetchall()


@contextmanager
def project(pair: Pair) -> Iterator[Project]:
    """A project whose module is the pair's."""
    with connect(pair.source) as admin:
        admin.execute("create schema billing")
        BILLING.install(admin, unit="monolith", home="monolith")
    directory = Path(tempfile.mkdtemp(prefix="shop-extract-"))
    (directory / "urls.json").write_text(json.dumps({"monolith": pair.source.url}))
    yield Project(pair, directory)
    shutil.rmtree(directory)
    _keep_target(pair)


@contextmanager
def shell(of: Project, servers: Servers) -> Iterator[Shell]:
    """Processes that work on this project, and end with the test."""
    name, server = f"records_{of.pair.id}_{os.getpid()}", servers.source.postgres
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    environment = environment_of(server.url(name)) | of.variables
    migrate = [sys.executable, "manage.py", "migrate", "--database", "default", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True)
    opened = Shell(of, server.url(name))
    yield opened
    for process in opened.started:
        process.kill()
        process.wait()
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def environment_of(records_url: str) -> dict[str, str]:
    """Of a process in a project that is not the shop."""
    return unembedded() | {"DJANGO_SETTINGS_MODULE": "tests.extraction.project", "TEST_DEFAULT_URL": records_url}


def receive(pair: Pair, unit: str) -> None:
    """A write of the module in this unit."""
    with as_owner(pair.side(unit)) as owner:
        owner.execute("insert into inventory.product (name, price) values ('new', 1)")


def schema(side: Side) -> str:
    """The definition of all that is in the database."""
    command = [str(BINARIES / "pg_dump"), "--schema-only", "--restrict-key=test", "--dbname", side.url]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ).stdout


def made(pair: Pair) -> list[str]:
    """What migrations have made on the source's server, of other tests too."""
    with connect(pair.source) as admin:
        return sorted(name for (name,) in admin.execute(ON_A_SERVER))


def _keep_target(pair: Pair) -> None:
    """The pair's own fixture takes the target's database away, also after an abort did."""
    server, _, name = pair.target.url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        if not admin.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
