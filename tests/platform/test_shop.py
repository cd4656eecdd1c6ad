"""The shop on a real server, and what it says of one that does not fit."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from extraction.platform.database import connect, with_database, with_login
from extraction.platform.errors import BrokerAway, Leak, MissingPrivilege, NoServer, PlatformError, ServerUnreachable
from extraction.platform.local.postgres import Postgres
from shop.platform import Shop, check_broker
from tests.platform.conftest import eventually

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def given(machine: dict[str, str], own_server: Postgres) -> dict[str, str]:
    return machine | {"DATABASE_URL": own_server.url()}


@pytest.fixture(scope="module")
def serving(state: Path, given: dict[str, str]) -> Iterator[Shop]:
    with Shop(state / "serving", port=0, workers=1, given=given, seed=False) as shop:
        yield shop


def test_a_database_url_takes_the_place_of_the_embedded_server(serving: Shop, own_server: Postgres) -> None:
    assert set(serving.processes()) == {"envoy", "web", "worker", "errands"}
    with connect(with_database(own_server.url(), "shop")) as admin:
        owners = admin.execute(
            "select tableowner, count(*) from pg_tables where tablename = 'outbox' group by 1"
        ).fetchall()
    assert {owner for owner, _ in owners} == {"shop_inventory", "shop_orders", "shop_payments", "shop_users"}


def test_no_process_of_the_shop_uses_the_administrators_role(serving: Shop, own_server: Postgres) -> None:
    own = {f"shop_{schema}" for schema in ("inventory", "orders", "payments", "users", "platform", "broker")}

    def users() -> set[str]:
        with connect(own_server.url()) as admin:
            found = admin.execute(
                "select distinct usename from pg_stat_activity where backend_type = 'client backend' "
                "and pid <> pg_backend_pid()"
            )
            return {name for (name,) in found}

    assert eventually(lambda: bool(users()) and users() <= own), users()


def test_no_process_of_the_shop_is_told_the_administrators_password(serving: Shop, own_server: Postgres) -> None:
    url = own_server.url()
    for pid in serving.processes().values():
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            assert url not in process.environ().values()


def test_a_task_is_taken_through_the_broker_of_a_server_of_ones_own(serving: Shop) -> None:
    """The pgmq client would use the DATABASE_URL of its environment, where no queue is."""
    serving.wait_for_workers()


def test_a_role_that_sees_another_schema_stops_the_start(state: Path, given: dict[str, str]) -> None:
    with connect(given["DATABASE_URL"]) as admin:
        for role in ("shop_orders", "shop_users"):
            try:
                admin.execute(f"CREATE ROLE {role}")
            except psycopg.errors.DuplicateObject:
                continue
        admin.execute("GRANT shop_users TO shop_orders")
    with (
        pytest.raises(
            Leak, match='role shop_orders is a member of shop_users; run: REVOKE "shop_users" FROM "shop_orders";'
        ),
        Shop(state, port=0, given=given),
    ):
        pass
    assert not (state / "run" / "supervisord.pid").exists()
    with connect(given["DATABASE_URL"]) as admin:
        admin.execute("REVOKE shop_users FROM shop_orders")


@pytest.mark.parametrize(
    ("url", "error", "hint"),
    [
        ("postgresql://postgres:no@127.0.0.1:1/postgres", ServerUnreachable, "check host and port"),
        ("nonsense", ServerUnreachable, "postgresql://administrator:password@host/postgres"),
        ("mysql://root@127.0.0.1/db", ServerUnreachable, "postgresql://administrator:password@host/postgres"),
    ],
)
def test_a_wrong_database_url_stops_the_start(
    state: Path, machine: dict[str, str], url: str, error: type[PlatformError], hint: str
) -> None:
    with pytest.raises(error, match=hint), Shop(state, port=0, given=machine | {"DATABASE_URL": url}):
        pass
    assert not (state / "run" / "supervisord.pid").exists()


def test_a_url_of_no_administrator_stops_the_start(state: Path, given: dict[str, str], own_server: Postgres) -> None:
    with connect(own_server.url()) as admin:
        admin.execute("DROP ROLE IF EXISTS nobody")
        admin.execute("CREATE ROLE nobody LOGIN PASSWORD 'n'")
    nobody = with_login(own_server.url(), role="nobody", password="n", database="postgres")
    with (
        pytest.raises(MissingPrivilege, match="lacks CREATEROLE and CREATEDB"),
        Shop(state, port=0, given=given | {"DATABASE_URL": nobody}),
    ):
        pass


@pytest.mark.parametrize("scheme", ["amqp", "redis", "pgmq"])
def test_a_broker_that_is_away_is_told_without_its_password(scheme: str) -> None:
    with pytest.raises(BrokerAway, match="start it and check its user and password, or leave BROKER_URL out") as raised:
        check_broker(f"{scheme}://courier:s3cret@127.0.0.1:1/x")
    assert "s3cret" not in str(raised.value)


def test_a_broker_that_is_away_stops_the_start(state: Path, given: dict[str, str]) -> None:
    away = given | {"BROKER_URL": "amqp://courier:s3cret@127.0.0.1:1//"}
    with pytest.raises(BrokerAway), Shop(state, port=0, given=away, seed=False):
        pass
    assert not (state / "run" / "supervisord.pid").exists()


def test_a_full_disk_stops_the_start(small_disk: Path, given: dict[str, str]) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while filler.write(bytes(2**16)):
            pass
    with (
        pytest.raises(NoServer, match=r"no room is left in .*point SHOP_STATE_DIR at another disk"),
        Shop(small_disk / "state", port=0, given=given),
    ):
        pass
