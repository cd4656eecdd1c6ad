"""Pytest plugin: an embedded PostgreSQL for this run, a database for each worker, and nothing of the user's machine.

Loaded by `-p tests.embedded`, before Django reads its settings. The server is a child of the run: it ends with it,
also when the run is killed.
"""

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from joserfc.jwk import KeySet

from contracts.runtime.tokens import new_key
from extraction.platform.database import Owner, drop_database, provide_broker, provide_database, with_login
from extraction.platform.errors import NoServer
from extraction.platform.local.postgres import Postgres

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path.parent.name for path in (ROOT / "modules").glob("*/apps.py"))
FORGOTTEN = (
    *("ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "DATABASE_URL", "ORDER_EXPIRES_S", "ORIGIN_UNIT"),
    *("RECORDER_FILE", "RECORDER_SHARE", "SECRET_KEY_FALLBACKS", "UNITS_URL"),
)
"""Variables of the user's that would reach the settings, besides those that are set here."""
RUN, ADMIN_URL, PASSWORD = "SHOP_TEST_RUN", "SHOP_TEST_ADMIN_URL", "SHOP_TEST_PASSWORD"
"""The directory of the run, its server and the password of all roles; workers and nested runs inherit them."""
OURS = "SHOP_TEST_VARIABLES"
"""The names of all variables that are set here."""


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None]:
    """Before pytest-django imports the settings."""
    global _run
    if RUN not in os.environ:
        _run = _Run()
        os.environ[RUN] = str(_run.directory)
        _forget_the_machine()
        environment = _run.environment()
        os.environ.update(environment)
        variables = [_variable(schema) for schema in (*MODULES, "platform")]
        os.environ[OURS] = " ".join([*environment, *variables, "BROKER_URL", RUN, OURS])
        _run.thread.start()
    admin, password, name = os.environ[ADMIN_URL], os.environ[PASSWORD], _database()
    for schema in (*MODULES, "platform"):
        os.environ[_variable(schema)] = with_login(admin, role=f"shop_{schema}", password=password, database=name)
    os.environ["BROKER_URL"] = with_login(
        admin, role="shop_broker", password=password, database=f"{name}_broker", scheme="pgmq"
    )
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that may use the database may use every module's."""
    for item in items:
        if item.get_closest_marker("django_db") is None and {"db", "transactional_db"} & set(_fixtures(item)):
            item.add_marker(pytest.mark.django_db)
        for marker in item.iter_markers("django_db"):
            marker.kwargs.setdefault("databases", "__all__")  # type: ignore[attr-defined]


def pytest_unconfigure() -> None:
    """The run's own process stops the server and takes its directory away."""
    if _run is not None:
        _run.stop()


@pytest.fixture(scope="session")
def server_url() -> str:
    """The administrator's URL of the run's server, which answers."""
    directory = Path(os.environ[RUN])
    end = time.monotonic() + 60
    while not (directory / "ready").exists():
        if (directory / "failed").exists():
            raise NoServer((directory / "failed").read_text())
        if time.monotonic() > end:
            raise NoServer(f"the embedded PostgreSQL is not ready after 60 s; see {directory}/postgres.log")
        time.sleep(0.02)
    return os.environ[ADMIN_URL]


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: "DjangoDbBlocker", server_url: str
) -> Iterator[None]:
    """A database for this worker with every module's schema, migrated, and a broker.

    Not Django's own test databases: it takes aliases that share a host and a name for mirrors of one another.
    """
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connections

    schema_of = {module["database"]: module["schema"] for module in settings.EXTRACTION["modules"].values()}
    databases = {alias: connections[alias].settings_dict for alias in connections}
    name = databases["default"]["NAME"]
    owners = [
        Owner(schema=schema_of.get(alias, "platform"), role=database["USER"], password=database["PASSWORD"])
        for alias, database in databases.items()
    ]
    provide_database(server_url, name=name, owners=owners)
    broker = f"{name}_broker"
    provide_broker(server_url, name=broker, role="shop_broker", password=os.environ[PASSWORD])
    with django_db_blocker.unblock():
        for alias in databases:
            call_command("migrate", database=alias, verbosity=0, skip_checks=True)
    yield
    with django_db_blocker.unblock():
        connections.close_all()
    drop_database(server_url, name)
    drop_database(server_url, broker)


def unembedded() -> dict[str, str]:
    """The environment without what this plugin put there, for a program that brings its own server."""
    ours = os.environ[OURS].split()
    return {name: value for name, value in os.environ.items() if name not in ours}


def _variable(schema: str) -> str:
    return f"{schema.upper()}_DATABASE_URL"


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


def _database() -> str:
    """The name of this process's database."""
    return f"test_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}_{os.getpid()}"


def _forget_the_machine() -> None:
    for variable in list(os.environ):
        if variable in FORGOTTEN or variable.startswith(("PG", "CELERY_", "PAYMENT_")):
            del os.environ[variable]
    for module in MODULES:
        os.environ.pop(f"{module.upper()}_URL", None)


class _Run:
    """The server of this pytest run, and its directory."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="shop-test-"))
        self.postgres = Postgres(self.directory / "postgres", durable=False)
        self.postgres.claim()
        self.process: subprocess.Popen[bytes] | None = None
        self.stopping = threading.Event()
        # Beside the collection of tests. The thread lives as long as the server, which ends with its parent thread.
        self.thread = threading.Thread(target=self._serve, daemon=True)
        # Takes the directory away when the run is killed and cannot.
        self.sweeper = subprocess.Popen(
            ["sh", "-c", 'read -r _; sleep 3; rm -rf -- "$1"', "sh", str(self.directory)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def environment(self) -> dict[str, str]:
        """What the settings read, apart from the databases."""
        identity, service = new_key("test-identity"), new_key("test-service")
        state = self.directory / "state"
        (state / "static").mkdir(parents=True)
        return {
            ADMIN_URL: self.postgres.url(),
            PASSWORD: secrets.token_urlsafe(16),
            "SHOP_STATE_DIR": str(state),
            "SHOP_ENV_FILE": str(state / "env"),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "IDENTITY_SIGNING_KEY": json.dumps(identity.as_dict(private=True)),
            "IDENTITY_PUBLIC_KEYS": json.dumps(KeySet([identity]).as_dict(private=False)),
            "SERVICE_SIGNING_KEY": json.dumps(service.as_dict(private=True)),
            "SERVICE_PUBLIC_KEYS": json.dumps(KeySet([service]).as_dict(private=False)),
            "PAYMENT_WEBHOOK_SECRET": secrets.token_urlsafe(32),
            "CONTRACTS_STRICT": "1",
            "GUARDS": "raise",
            "DEBUG": "0",
            "BEHIND_HTTPS": "0",
            "TZ": "UTC",
        }

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(timeout=30)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.sweeper.kill()
        self.sweeper.wait()

    def _serve(self) -> None:
        try:
            self.postgres.prepare()
            self.process = self.postgres.start(self.directory / "postgres.log")
            self.postgres.wait()
            (self.directory / "ready").touch()
        except Exception as error:
            (self.directory / "failed").write_text(str(error))
        self.stopping.wait()
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()


_run: _Run | None = None
