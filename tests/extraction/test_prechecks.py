"""What stands in the way is named with what mends it; with that done, it is gone."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from extraction.platform.database import connect as admin_of
from extraction.platform.local.ports import free_port
from extraction.platform.local.postgres import SYSTEM_USER, Postgres
from extraction.platform.local.tether import become, end_with_parent
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import obstacles
from extraction.replicate.stream import prepare, start
from tests.extraction.conftest import as_owner, connect, wait_for


def codes(pair: Pair) -> list[str]:
    return [obstacle.code for obstacle in obstacles(pair)]


def run(side: Side, *statements: str) -> None:
    with connect(side) as admin:
        for statement in statements:
            admin.execute(statement)


def test_a_new_pair_has_none(pair: Pair) -> None:
    assert obstacles(pair) == []


@pytest.mark.parametrize(
    ("code", "breaks"),
    [
        ("key", "create table inventory.note (text text)"),
        ("key", "alter table inventory.stock replica identity nothing"),
        ("key", "create table inventory.note (id int primary key deferrable)"),
        (
            "generated",
            "create table inventory.note (id int, twice int generated always as (2 * id) stored);"
            "alter table inventory.note replica identity full",
        ),
        (
            "generated",
            "create table inventory.note (id int, twice int generated always as (2 * id) stored primary key)",
        ),
        ("incomparable", "create table inventory.note (at point); alter table inventory.note replica identity full"),
        ("unlogged", "alter table inventory.ticket set unlogged"),
        ("row_security", "alter table inventory.ticket force row level security"),
        ("columns", "alter table inventory.ticket add column note text"),
        ("columns", "alter table inventory.movement alter column quantity type bigint"),
        ("tables", "create table inventory.extra (id int primary key)"),
        ("tables", "create table inventory.movement_2027 partition of inventory.movement default"),
        ("foreign_key", "create table public.other (id int primary key references inventory.ticket)"),
        ("bypass", "create role strong superuser; alter table inventory.ticket owner to strong"),
        (
            "trigger",
            "create function inventory.f() returns trigger language plpgsql as 'begin return new; end';"
            "create trigger t before insert on inventory.ticket for each row execute function inventory.f();"
            "alter table inventory.ticket enable always trigger t",
        ),
    ],
)
def test_what_a_table_lacks_is_named(pair: Pair, code: str, breaks: str) -> None:
    run(pair.source, breaks)
    try:
        assert code in codes(pair)
    finally:
        if "strong" in breaks:
            run(pair.source, "alter table inventory.ticket owner to shop_inventory; drop role strong")


def test_the_statement_that_is_named_mends_it(pair: Pair) -> None:
    run(pair.source, "alter table inventory.stock replica identity nothing")
    run(pair.target, "alter table inventory.stock replica identity nothing")
    found = obstacles(pair)
    assert [obstacle.code for obstacle in found] == ["key", "key"]
    statement = found[0].mend.partition("run: ")[2]
    for side in (pair.source, pair.target):
        run(side, statement)
    assert obstacles(pair) == []


def test_a_copied_schema_carries_the_unit_of_the_other_side(pair: Pair) -> None:
    with as_owner(pair.target) as owner:
        pair.objects.install(owner, unit=pair.source.unit, home=pair.source.unit)
    assert codes(pair) == ["unit"]


def test_a_target_that_takes_itself_for_the_home_is_refused(pair: Pair) -> None:
    with connect(pair.target) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("update inventory.inventory_placement set home = 'inventory', epoch = 1")
    assert codes(pair) == ["homes"]


def test_a_database_that_was_not_migrated_is_named(pair: Pair) -> None:
    run(pair.target, "drop schema inventory cascade")
    assert codes(pair) == ["not_installed"]


def test_rows_of_the_target_are_somebodys_until_this_migration_brought_them(pair: Pair) -> None:
    run(pair.target, "insert into inventory.ticket values (1, 1, 1)")
    assert codes(pair) == ["rows"]
    prepare(pair)
    start(pair)
    wait_for(lambda: obstacles(pair) == [])


def test_a_role_without_the_right_to_subscribe_is_named(pair: Pair) -> None:
    with as_owner(pair.target) as owner:
        url = f"postgresql://{owner.info.user}:{owner.info.password}@127.0.0.1:{owner.info.port}/{owner.info.dbname}"
    weak = Pair("weak", pair.module, pair.schema, pair.source, Side(pair.target.unit, url))
    assert codes(weak) == ["administrator"]


def test_a_server_without_logical_replication_is_named_with_each_setting(pair: Pair, poor: Postgres) -> None:
    found = obstacles(Pair("poor", pair.module, pair.schema, pair.source, Side("inventory", poor.url())))
    assert {"wal_level", "max_replication_slots", "max_wal_senders", "max_logical_replication_workers"} <= {
        obstacle.code for obstacle in found
    }
    with admin_of(poor.url()) as admin:
        for obstacle in found:
            if obstacle.code != "not_installed":
                statement = obstacle.mend.partition("run there: ")[2].partition(";")[0]
                admin.execute(statement)


def test_a_server_too_old_for_it_is_named(pair: Pair, old_server: str) -> None:
    found = obstacles(Pair("old", pair.module, pair.schema, pair.source, Side("inventory", old_server)))
    assert [obstacle.code for obstacle in found] == ["version"]
    assert "PostgreSQL 15" in found[0].what


@pytest.fixture
def poor() -> Iterator[Postgres]:
    """A server as it comes, without a place left for anything."""
    directory = Path(tempfile.mkdtemp(prefix="shop-poor-"))
    server = Postgres(directory, durable=False)
    server.prepare()
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write("wal_level = replica\nmax_replication_slots = 0\nmax_wal_senders = 1\n")
        settings.write("max_logical_replication_workers = 1\nmax_active_replication_origins = 1\n")
    process = server.start(directory / "log")
    server.wait()
    yield server
    process.send_signal(signal.SIGINT)
    process.wait()
    shutil.rmtree(directory)


@pytest.fixture
def old_server() -> Iterator[str]:
    """PostgreSQL 15, where the machine has its programs."""
    programs = Path("/usr/lib/postgresql/15/bin")
    if not (programs / "initdb").exists():
        pytest.skip(f"no PostgreSQL 15 in {programs}")
    directory = Path(tempfile.mkdtemp(prefix="shop-old-"))
    Postgres(directory / "ours", durable=False).prepare()  # makes the system user, where one is needed
    user = Postgres(directory / "ours").user
    if user:
        shutil.chown(directory, SYSTEM_USER)
    data, port = directory / "data", free_port()
    as_user: dict[str, Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
    options = ["--auth=trust", "--username=postgres", "--no-sync", "--locale=C", "--encoding=UTF8"]
    subprocess.run([programs / "initdb", *options, "-D", data], check=True, capture_output=True, cwd="/", **as_user)

    def tether() -> None:
        if user:
            become(user)
        end_with_parent(signal.SIGINT)

    process = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), "-k", "", "-h", "127.0.0.1"],
        cwd="/",
        preexec_fn=tether,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
    wait_for(lambda: _answers(url))
    yield url
    process.send_signal(signal.SIGINT)
    process.wait()
    shutil.rmtree(directory)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
