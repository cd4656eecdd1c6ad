"""A server for the run, and a database for each breach that needs one: a copy of one that is migrated once."""

import secrets
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from django.conf import settings
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from extraction.platform.database import Owner, connect, provide_database, with_database, with_login
from extraction.platform.local.postgres import Postgres

TEMPLATE = "shop_breaches"

Environment = dict[str, str]
"""The variables that name the databases."""


class Databases:
    """The server starts when the first database is asked for."""

    def __init__(self, directory: Path) -> None:
        self._postgres = Postgres(directory / "postgres", durable=False)
        self._log = directory / "postgres.log"
        self._password = secrets.token_urlsafe(16)
        self._lock = threading.Lock()
        self._serving: threading.Thread | None = None
        self._is_migrated = False
        self._ended = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if self._serving is not None:
            self._serving.join(timeout=30)

    def copy(self, name: str, *, migrate: Callable[[Environment], None]) -> Environment:
        """A new database with every module's tables, and its variables. The first one is migrated."""
        self.start()
        with self._lock:
            if not self._is_migrated:
                migrate(self._provided(TEMPLATE, prefix="shop"))
                self._is_migrated = True
        database = f"{TEMPLATE}_{name}"
        with connect(self._postgres.url()) as admin:
            admin.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                    sql.Identifier(database), sql.Identifier(TEMPLATE)
                )
            )
        return self._provided(database, prefix="shop")

    def new(self, name: str) -> Environment:
        """A new database with roles of its own, which has no tables yet."""
        self.start()
        return self._provided(f"{TEMPLATE}_{name}", prefix=f"shop_{name}")

    def drop(self, name: str) -> None:
        """What was made under this name; its roles stay."""
        with connect(self._postgres.url()) as admin:
            database = sql.Identifier(f"{TEMPLATE}_{name}")
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))

    def execute(self, environment: Environment, statements: str) -> None:
        """Run this as an administrator, with the roles of orders and payments filled in."""
        roles = {module: conninfo_to_dict(environment[_variable(module)]) for module in _modules()}
        name = str(roles["orders"]["dbname"])
        filled = sql.SQL(statements).format(
            **{module: sql.Identifier(str(known["user"])) for module, known in roles.items()}
        )
        with connect(with_database(self._postgres.url(), name)) as admin:
            admin.execute(filled)

    def start(self) -> None:
        """Unless it runs already. Raises NoServer."""
        with self._lock:
            if self._serving is not None:
                return
            self._postgres.prepare()
            started = threading.Event()
            self._serving = threading.Thread(target=self._serve, args=(started,), daemon=True)
            self._serving.start()
            started.wait()
            self._postgres.wait()

    def _serve(self, started: threading.Event) -> None:
        """The server lives as long as the thread that started it."""
        process: subprocess.Popen[bytes] | None = None
        try:
            process = self._postgres.start(self._log)
        finally:
            started.set()
        self._ended.wait()
        process.send_signal(signal.SIGINT)
        process.wait()

    def _provided(self, database: str, *, prefix: str) -> Environment:
        owners = [
            Owner(schema, role=f"{prefix}_{schema}", password=self._password) for schema in (*_modules(), "platform")
        ]
        url = self._postgres.url()
        provide_database(url, name=database, owners=owners)
        return {
            _variable(owner.schema): with_login(url, role=owner.role, password=owner.password, database=database)
            for owner in owners
        }


def _modules() -> list[str]:
    return list(settings.ALL_MODULES)


def _variable(schema: str) -> str:
    return f"{schema.upper()}_DATABASE_URL"
