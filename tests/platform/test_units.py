"""A module's own unit beside the shop, and deploys, on what `manage.py up` runs. The tests follow one another."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from django.test import override_settings

from extraction.deploys.records import deploys_in
from extraction.platform.database import connect
from extraction.platform.errors import NotRunning, PlatformError
from extraction.platform.local.postgres import Postgres
from extraction.platform.protocol import Routes
from shop import environment
from shop.rollout import DEPLOYS
from shop.units import LocalPlatform
from tests.platform.conftest import ROOT, Up, eventually, running_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

MODULE = UNIT = "inventory"
SECRETS_OF_OTHERS = ("IDENTITY_SIGNING_KEY", "PAYMENT_WEBHOOK_SECRET", "ORDERS_DATABASE_URL", "USERS_DATABASE_URL")
PAGE = "/api/inventory/"


def quiet(sentence: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def shop(state: Path, machine: dict[str, str]) -> Iterator[Up]:
    shop = Up(state, "--no-seed", "--workers", "1", given=machine)
    yield shop
    if shop.process.poll() is None:
        shop.process.send_signal(signal.SIGINT)
        shop.ended()


@pytest.fixture(scope="module")
def platform(shop: Up, machine: dict[str, str]) -> Iterator[LocalPlatform]:
    """As `manage.py extract` in a shell of its own has it."""
    shop.url()
    with override_settings(STATE_DIR=shop.state, GIVEN=machine):
        yield LocalPlatform()


@pytest.fixture(scope="module")
def unit(platform: LocalPlatform) -> str:
    """The module's unit, running."""
    platform.provide_database(MODULE, unit=UNIT, tell=quiet)
    platform.start(MODULE, unit=UNIT, tell=quiet)
    return UNIT


def served_by(url: str) -> str:
    """Which unit and release answered."""
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return str(response.headers["X-Served-By"])
    except urllib.error.HTTPError as error:
        return f"{error.headers['X-Served-By']} {error.code}"


def pids(state: Path) -> dict[str, int]:
    return {file.name.removesuffix(".pid"): int(file.read_text().split()[0]) for file in (state / "run").glob("*.pid")}


def manage(shop: Up, machine: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=machine | {"SHOP_STATE_DIR": str(shop.state)},
        capture_output=True,
        text=True,
    )


@contextmanager
def load(page: str) -> Iterator[list[str]]:
    """Four clients that ask for a page without pause; what each answer lacked."""
    failed: list[str] = []
    answers = [0] * 4
    is_over = threading.Event()

    def ask(number: int) -> None:
        while not is_over.is_set():
            try:
                with urllib.request.urlopen(page, timeout=20) as response:
                    response.read()
                answers[number] += 1
            except OSError as error:
                failed.append(f"{time.monotonic():.3f} {error}")
            is_over.wait(0.05)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(answers))]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
        assert min(answers) > 10


KILLED_PROVISION = """
import django
django.setup()
from shop.units import LocalPlatform
LocalPlatform().provide_database("inventory", unit="inventory", tell=lambda sentence: print(sentence, flush=True))
"""


def test_a_provision_that_was_killed_is_taken_up_again(
    shop: Up, machine: dict[str, str], platform: LocalPlatform
) -> None:
    given = machine | {"SHOP_STATE_DIR": str(shop.state), "DJANGO_SETTINGS_MODULE": "shop.settings"}
    command = [sys.executable, "-c", KILLED_PROVISION]
    with subprocess.Popen(command, cwd=ROOT, env=given, stdout=subprocess.PIPE, text=True) as provision:
        assert provision.stdout
        for sentence in provision.stdout:
            if sentence.startswith("Migrations"):
                provision.kill()
    record = shop.state / "units" / UNIT / "unit.json"
    assert json.loads(record.read_text())["stage"] == "recorded"
    with pytest.raises(PlatformError, match="extract provision inventory"):
        platform.start(MODULE, unit=UNIT, tell=quiet)

    platform.provide_database(MODULE, unit=UNIT, tell=quiet)
    assert json.loads(record.read_text())["stage"] == "provided"
    with connect(platform.admin_url(UNIT, MODULE)) as admin:
        assert admin.execute("select to_regclass('inventory.outbox') is not null").fetchone() == (True,)


def test_a_unit_has_a_database_of_its_own_where_the_old_unit_is_home(platform: LocalPlatform, unit: str) -> None:
    homes = {}
    for name in ("monolith", unit):
        with connect(platform.admin_url(name, MODULE)) as admin:
            homes[name] = admin.execute(
                "select inventory.inventory_unit(), home, epoch from inventory.inventory_placement"
            ).fetchone()
    assert homes == {"monolith": ("monolith", "monolith", 0), unit: (unit, "monolith", 0)}


def test_a_unit_is_told_what_it_needs_and_no_secret_of_another(shop: Up, unit: str) -> None:
    file = shop.state / "units" / unit / "env"
    told, shops = environment.read(file), environment.read(shop.state / "env")
    assert file.stat().st_mode & 0o777 == 0o600
    assert {name: told[name] for name in ("SHOP_UNIT", "SHOP_MODULES", "INVENTORY_HOME", "ORIGIN_UNIT")} == {
        "SHOP_UNIT": unit,
        "SHOP_MODULES": MODULE,
        "INVENTORY_HOME": "monolith",
        "ORIGIN_UNIT": "monolith",
    }
    secrets = [shops[name] for name in SECRETS_OF_OTHERS]
    for name in (f"web-{unit}", f"worker-{unit}"):
        process = psutil.Process(pids(shop.state)[name])
        for each in (process, *process.children(recursive=True)):
            known = set(each.environ().values()) | set(told.values())
            assert [secret for secret in secrets if secret in known] == []


def test_the_edge_sends_reads_to_the_unit_when_told(shop: Up, platform: LocalPlatform, unit: str) -> None:
    url = f"{shop.url()}{PAGE}"
    assert served_by(url).startswith("monolith/r1")
    platform.route(Routes(module=MODULE, home="monolith", candidate=unit, candidate_percent=100.0))
    assert served_by(url).startswith(f"{unit}/r1")
    assert platform.attempts(MODULE, unit=unit).total == 1
    assert platform.routes(MODULE) == Routes(module=MODULE, home="monolith", candidate=unit, candidate_percent=100.0)


def test_providing_and_starting_again_changes_nothing(shop: Up, platform: LocalPlatform, unit: str) -> None:
    before = pids(shop.state)
    platform.provide_database(MODULE, unit=unit, tell=quiet)
    platform.start(MODULE, unit=unit, tell=quiet)
    after = pids(shop.state)
    assert {name: after[name] for name in after if unit in name and "prepare" not in name} == {
        name: before[name] for name in before if unit in name and "prepare" not in name
    }


@pytest.mark.parametrize("name", ["monolith", UNIT])
def test_a_deploy_under_load_fails_no_request_and_is_recorded(
    shop: Up, machine: dict[str, str], platform: LocalPlatform, unit: str, name: str
) -> None:
    page = {"monolith": "/healthz", unit: PAGE}[name]
    old = pids(shop.state)
    with load(f"{shop.url()}{page}") as failed:
        result = manage(shop, machine, "deploy", name)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    assert failed == []
    assert platform.attempts(MODULE, unit=unit).failed == 0  # the home would have answered in its place
    assert served_by(f"{shop.url()}{page}").startswith(f"{name}/r2")
    deploy = deploys_in(shop.state / DEPLOYS)[-1]
    assert (deploy.unit, deploy.release, deploy.outcome, deploy.units_restarted) == (name, "r2", "done", 1)
    assert deploy.modules_restarted == {"monolith": 4, unit: 1}[name]
    assert deploy.seconds > 0
    role = {"monolith": "web", unit: f"web-{unit}"}[name]
    assert eventually(lambda: not psutil.pid_exists(old[role]))


def test_a_release_that_does_not_start_leaves_the_former_one(shop: Up, machine: dict[str, str], unit: str) -> None:
    file = shop.state / "units" / unit / "env"
    good = file.read_text()
    file.write_text(good + "LOG_LEVEL='nonsense'\n")
    try:
        result = manage(shop, machine, "deploy", unit)
    finally:
        file.write_text(good)
    assert result.returncode == 1
    assert f"release r3 of {unit} does not start, and the former one still serves" in result.stderr
    assert f"manage.py deploy {unit}" in result.stderr
    assert served_by(f"{shop.url()}{PAGE}").startswith(f"{unit}/r2")
    assert deploys_in(shop.state / DEPLOYS)[-1].outcome == "failed"


def test_after_up_is_killed_a_new_one_brings_the_unit_back_where_it_was(
    shop: Up, machine: dict[str, str], platform: LocalPlatform, unit: str
) -> None:
    url = shop.url()
    before = platform.routes(MODULE)
    shop.process.kill()
    assert shop.ended()[0] == -signal.SIGKILL
    assert eventually(lambda: not running_for(shop.state), within_s=90), running_for(shop.state)
    with pytest.raises(NotRunning, match=r"nothing runs in .*; start it: manage.py up"):
        platform.start(MODULE, unit=unit, tell=quiet)

    shop.__init__(shop.state, "--no-seed", "--workers", "1", given=machine)  # type: ignore[misc]
    assert shop.url() != url  # another port, and so other callbacks and endpoints
    assert platform.routes(MODULE) == before
    assert served_by(f"{shop.url()}{PAGE}").startswith(f"{unit}/")
    assert f"Unit {unit}… OK" in shop.output


def test_a_unit_where_the_module_lives_is_not_retired(platform: LocalPlatform, unit: str) -> None:
    platform.route(Routes(module=MODULE, home=unit))
    with pytest.raises(PlatformError, match="inventory lives in inventory; first: extract rollback inventory"):
        platform.retire(MODULE, unit=unit, tell=quiet)
    platform.route(Routes(module=MODULE, home="monolith", candidate=unit, candidate_percent=50.0))


def test_a_retired_unit_leaves_nothing(shop: Up, platform: LocalPlatform, unit: str) -> None:
    broker = environment.read(shop.state / "env")["BROKER_URL"].replace("pgmq:", "postgresql:", 1)

    def queues() -> list[str]:
        with connect(broker) as connection:
            return [name for (name,) in connection.execute("select queue_name from pgmq.list_queues()")]

    assert unit in queues()
    for _ in range(2):
        platform.retire(MODULE, unit=unit, tell=quiet)
    assert platform.routes(MODULE) == Routes(module=MODULE, home="monolith")
    assert served_by(f"{shop.url()}{PAGE}").startswith("monolith/")
    assert [process for process in running_for(shop.state) if unit in process] == []
    assert [name for name in queues() if name.startswith(unit)] == []
    assert not (shop.state / "units" / unit).exists()
    assert [json.loads(file.read_text())["name"] for file in (shop.state / "units").glob("*/unit.json")] == ["monolith"]
    with pytest.raises(PlatformError, match="extract provision inventory"):
        platform.admin_url(unit, MODULE)


def test_a_server_of_ones_own_is_used_and_left_as_it_was(
    shop: Up, machine: dict[str, str], platform: LocalPlatform, own_server: Postgres
) -> None:
    def there() -> set[str]:
        with connect(own_server.url()) as admin:
            found = admin.execute(
                "select 'database ' || datname from pg_database union select 'role ' || rolname from pg_roles"
            )
            return {name for (name,) in found}

    before = there()
    given = machine | {"INVENTORY_TARGET_DATABASE_URL": own_server.url()}
    with override_settings(STATE_DIR=shop.state, GIVEN=given):
        elsewhere = LocalPlatform()
        elsewhere.provide_database(MODULE, unit=UNIT, tell=quiet)
        assert elsewhere.admin_url(UNIT, MODULE) == own_server.url("shop_inventory")
        made = {"database shop_inventory", "role shop_inventory_inventory", "role shop_inventory_platform"}
        assert there() - before == made
        elsewhere.retire(MODULE, unit=UNIT, tell=quiet)
    assert there() == before
    assert not os.path.exists(shop.state / "units" / UNIT)
