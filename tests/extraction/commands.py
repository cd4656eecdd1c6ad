"""The command as a person types it: `manage.py extract …`, a process each time, in a project of its own."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from extraction.placement.database import Objects
from extraction.replicate.pair import Pair
from tests.embedded import unembedded
from tests.extraction.conftest import MODULE, Servers, as_owner, connect

ROOT = Path(__file__).resolve().parent.parent.parent
BILLING = Objects("billing", "billing")


@dataclass(frozen=True)
class Project:
    """A module on two servers, and what `extract` knows of it."""

    pair: Pair
    """Its sides; the id is not the migration's."""
    state: Path
    records_url: str

    @property
    def environment(self) -> dict[str, str]:
        return unembedded() | {
            "DJANGO_SETTINGS_MODULE": "tests.extraction.project",
            "TEST_STATE": str(self.state),
            "TEST_DEFAULT_URL": self.records_url,
            "TEST_SOURCE_URL": self.pair.source.url,
            "TEST_TARGET_URL": self.pair.target.url,
        }

    def start(self, stage: str, *options: str, **environment: str) -> subprocess.Popen[str]:
        """`manage.py extract STAGE inventory`, running."""
        return subprocess.Popen(
            [sys.executable, "manage.py", "extract", *([stage] if stage == "status" else [stage, MODULE]), *options],
            cwd=ROOT,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def type(self, stage: str, *options: str, **environment: str) -> tuple[int, str, str]:
        """Exit status and both outputs of the command."""
        process = self.start(stage, *options, **environment)
        try:
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, out, err

    def do(self, *stages: str, **environment: str) -> dict[str, Any]:
        """These stages, one after another, all done; the document of the last."""
        document: dict[str, Any] = {}
        for stage in stages:
            hold = ["--hold-s", "0.2"] if stage == "ramp" else []
            status, out, err = self.type(stage, "--json", *hold, **environment)
            assert status == 0, f"{stage}: {out}{err}"
            document = json.loads(out)
        return document

    def refused(self, stage: str, *options: str, **environment: str) -> str:
        """Why this stage was not done; nothing but one line is on the error output."""
        status, out, err = self.type(stage, *options, **environment)
        assert status == 1, f"{stage} was done: {out}"
        assert "Traceback" not in err, err
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

    def records(self) -> list[dict[str, Any]]:
        """What was recorded, the oldest first."""
        with psycopg.connect(self.records_url, row_factory=dict_row) as connection:
            return connection.execute("select * from extraction_record order by id").fetchall()


@contextmanager
def project(pair: Pair, servers: Servers, template: str) -> Iterator[Project]:
    """A project whose module is the pair's, with records of its own."""
    name = f"records_{secrets.token_hex(4)}"
    server = servers.source.postgres
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
    with connect(pair.source) as admin:
        admin.execute("create schema billing")
        BILLING.install(admin, unit="monolith", home="monolith")
    directory = Path(tempfile.mkdtemp(prefix="shop-extract-"))
    (directory / "urls.json").write_text(json.dumps({"monolith": pair.source.url}))
    yield Project(pair, directory, server.url(name))
    shutil.rmtree(directory)
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
    _keep_target(pair)


@contextmanager
def migrated(servers: Servers) -> Iterator[str]:
    """The name of a database with the tables of the tooling, to be copied."""
    name, server = f"records_{os.getpid()}", servers.source.postgres
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    environment = unembedded() | {
        "DJANGO_SETTINGS_MODULE": "tests.extraction.project",
        "TEST_STATE": "none",
        "TEST_DEFAULT_URL": server.url(name),
        "TEST_SOURCE_URL": server.url(name),
    }
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--database", "default", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    yield name
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def receive(pair: Pair, unit: str) -> None:
    """A write of the module in this unit."""
    with as_owner(pair.side(unit)) as owner:
        owner.execute("insert into inventory.product (name, price) values ('new', 1)")


def _keep_target(pair: Pair) -> None:
    """The pair's own fixture takes the target's database away, also after an abort did."""
    server, _, name = pair.target.url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as admin:
        if not admin.execute("select 1 from pg_database where datname = %s", (name,)).fetchone():
            admin.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
