"""A module whose tables stand in `public` of the alias that the rest of the project uses: what is not its own is not
taken for its move."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from psycopg import sql

from extraction.platform.database import with_database

ROOT = Path(__file__).parents[2]
NAME = "shared_alias"
SETTINGS = """
SECRET_KEY = "x"
USE_TZ = True
DATABASES = {"default": %s}
INSTALLED_APPS = ["django.contrib.sites", "django.contrib.sessions", "extraction"]
EXTRACTION = {
    "unit": "monolith",
    "modules": {
        "sites": {"apps": ["django.contrib.sites"], "database": "default", "schema": "public", "home": "monolith"}
    },
}
"""
BEGIN = """
import sys
import django
django.setup()
from django.contrib.sessions.models import Session
from django.contrib.sites.models import Site
from django.core.management import call_command
from django.db import DatabaseError, connection, connections, transaction
from django.utils import timezone
from psycopg import sql
from extraction.boundaries.operations import Operation
from extraction.placement.database import Objects
objects = Objects("sites", "public", ("django_site",))

def leave():
    with connection.cursor() as cursor:
        cursor.execute(objects.query("hand_over"), {"to": "warehouse", "epoch": 0})

def fence():
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute(objects.query("fence_function"))
        cursor.execute(objects.query("fence_table", table=sql.Identifier("django_site")))

def complete():
    from extraction.replicate.retiring import Archive, retire
    connection.ensure_connection()
    retire(Archive(objects, "sites_retired"), connection.connection, home="warehouse")

def conflict(model, **changed):
    other = connections.create_connection("default")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        model.objects.count()
        with other.cursor() as others:
            others.execute(f"UPDATE {model._meta.db_table} SET {next(iter(changed))} = 'theirs'")
        other.close()
        model.objects.update(**changed)

def refusal_of(do):
    with Operation("request", "test") as operation:
        try:
            do()
        except DatabaseError:
            pass
        else:
            raise AssertionError("no error")
        refusal = operation.refusal
        Session.objects.update(session_data="again")  # what the project does next is committed, or refused
    return refusal

fence()
Session.objects.create(session_key="one", session_data="", expire_date=timezone.now())
"""


@pytest.fixture
def project(server_url: str, tmp_path: Path) -> Iterator[Path]:
    """A folder with the settings of a project, whose database is new."""
    url = urlsplit(with_database(server_url, NAME))
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": NAME,
        "HOST": url.hostname,
        "PORT": url.port,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
    }
    (tmp_path / "site_settings.py").write_text(SETTINGS % json.dumps(database))
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create database {}").format(sql.Identifier(NAME)))
        yield tmp_path
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(NAME)))


def run(project: Path, code: str) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(project), str(ROOT)])
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "site_settings"}
    return subprocess.run(
        [sys.executable, "-c", BEGIN + code], env=environment, capture_output=True, text=True, timeout=60
    )


def test_conflicts_of_other_tables_are_left_to_the_project(project: Path) -> None:
    ended = run(
        project,
        """
assert refusal_of(lambda: conflict(Session, session_data="ours")) is None, "before it moved"
assert refusal_of(lambda: conflict(Site, name="ours")) is None, "a conflict of its own"
leave()
assert refusal_of(lambda: conflict(Session, session_data="ours")) is None, "when it had moved"
""",
    )
    assert ended.returncode == 0, ended.stderr


def test_tables_of_others_that_are_missing_are_a_mistake_of_the_project(project: Path) -> None:
    ended = run(
        project,
        """
def missing(): connection.cursor().execute("SELECT * FROM forgotten")
def gone():
    with transaction.atomic(): Site.objects.count()
leave()
assert refusal_of(missing) is None, "when it had moved"
complete()
assert refusal_of(missing) is None, "when its tables were put aside"
assert refusal_of(lambda: conflict(Session, session_data="ours")) is None, "a conflict then"
with Operation("request", "test") as operation:
    try: gone()
    except DatabaseError: pass
assert operation.refusal.home == "warehouse", "one of its own"
print("as it should be", file=sys.stderr)
missing()
""",
    )
    assert "as it should be" in ended.stderr, ended.stderr
    assert 'relation "forgotten" does not exist' in ended.stderr, "and not where the table before it went"
    assert "Traceback" in ended.stderr


def test_a_program_that_misses_a_table_of_the_module_is_told_where_it_is(project: Path) -> None:
    ended = run(project, "leave()\ncomplete()\nSite.objects.count()")
    assert ended.stderr.startswith("sites lives in warehouse, not in monolith"), ended.stderr
    assert ended.returncode == 1
