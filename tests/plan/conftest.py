"""A project that is not ours: one alias, one schema, three apps with keys both ways, a view, a signal."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from extraction.platform.database import drop_database, drop_roles, with_database, with_login
from tests.embedded import unembedded

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "of-tests"
ONE_AFTER_ANOTHER = """
import json, sys, django
from django.core.management import call_command
django.setup()
for words in json.loads(sys.argv[1]):
    call_command(*words)
"""
SEED = (
    "insert into billing_plan (name) select 'plan ' || n from generate_series(1, 3) n",
    "insert into accounts_customer (name, plan_id) select 'customer ' || n, 1 from generate_series(1, 20) n",
    "insert into catalog_product (name, included_in_id) values ('one', 1), ('two', null)",
    "insert into catalog_basket default values",
    "insert into catalog_basket_plans (basket_id, plan_id) values (1, 1)",
    "insert into billing_invoice (customer_id, number) select 1 + n % 20, n from generate_series(1, 500) n",
    "insert into billing_invoice_products (invoice_id, product_id) select id, 1 from billing_invoice",
    "insert into billing_note (content_type_id, object_id, text) select id, 1, 'seen' from django_content_type "
    "where model = 'customer'",
    "insert into billing_line (invoice_id, product_id, origin_id) select id, 1, 1 from billing_invoice",
    "alter table billing_line add constraint by_hand foreign key (origin_id) references catalog_product "
    "on delete cascade",
    # As Django made ids before 4.1: who draws from the sequence needs a right on it.
    "alter table billing_line add column position bigserial",
    "alter table django_migrations drop column id",
    "alter table django_migrations add column id bigserial primary key",
    "create view sales as select p.name, count(*) from billing_line l join catalog_product p on p.id = l.product_id "
    "group by p.name",
)


@dataclass(frozen=True)
class Bazaar:
    """The project in a directory, and its database."""

    folder: Path
    name: str
    admin: str
    """URL of a superuser in its database."""

    def manage(
        self, *words: str, check: bool = True, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """`manage.py …` as a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "django", *words],
            cwd=self.folder,
            env=self.environment | (environment or {}),
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def plan(self, *options: str, **environment: str) -> dict[str, Any]:
        """The document."""
        done = self.manage("extract", "plan", "billing", "--json", "--watch-s", "0", *options, environment=environment)
        return dict(json.loads(done.stdout))

    def manage_all(self, *commands: list[str]) -> str:
        """These commands in one process, for each costs a start; what they say."""
        done = subprocess.run(
            [sys.executable, "-c", ONE_AFTER_ANOTHER, json.dumps(commands)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, f"{commands}: {done.stdout}{done.stderr}"
        return done.stdout

    def run(self, *statements: str) -> None:
        """In one session, as psql does."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def draw(self, role: str, table: str, **values: Any) -> None:
        """Insert as this role, and take it back."""
        url = with_login(self.admin, role=role, password=PASSWORD, database=self.name)
        names = sql.SQL(", ").join(map(sql.Identifier, values))
        given = sql.SQL(", ").join(map(sql.Literal, values.values()))
        with psycopg.connect(url) as connection:
            connection.execute(sql.SQL("insert into {} ({}) values ({})").format(sql.Identifier(table), names, given))
            connection.rollback()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.admin) as connection:
            return connection.execute(query).fetchall()

    @property
    def role(self) -> str:
        return f"{self.name}_app"

    @property
    def environment(self) -> dict[str, str]:
        url = with_login(self.admin, role=self.role, password=PASSWORD, database=self.name)
        return unembedded() | {
            "DJANGO_SETTINGS_MODULE": "settings",
            "PYTHONPATH": f"{self.folder}{os.pathsep}{ROOT}",
            "BAZAAR_URL": url,
            "BILLING_DATABASE_PASSWORD": PASSWORD,
            "PGOPTIONS": "-c lock_timeout=2s",
        }


@pytest.fixture
def bazaar(server_url: str, tmp_path: Path) -> Iterator[Bazaar]:
    """Migrated, with rows."""
    name = f"bazaar_{os.getpid()}"
    made = Bazaar(tmp_path, name, with_database(server_url, name))
    shutil.copytree(Path(__file__).with_name("bazaar"), tmp_path, dirs_exist_ok=True)
    for template in tmp_path.rglob("*.py-tpl"):
        template.rename(template.with_suffix(".py"))
    for app in ("accounts", "billing", "catalog"):
        (tmp_path / app / "migrations").mkdir()
        (tmp_path / app / "__init__.py").touch()
        (tmp_path / app / "migrations" / "__init__.py").touch()
    owner = sql.Identifier(made.role)
    with psycopg.connect(server_url, autocommit=True) as admin:
        admin.execute(sql.SQL("create role {} login password {}").format(owner, sql.Literal(PASSWORD)))
        admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), owner))
    made.manage_all(["makemigrations"], ["migrate"])
    made.run(*SEED, "analyze")
    yield made
    drop_database(server_url, name)
    drop_roles(server_url, [made.role, "billing"])
