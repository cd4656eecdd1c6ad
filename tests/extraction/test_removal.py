"""After a migration is called off the source is as it was, also when a server is away."""

import multiprocessing
import os
import signal
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest

from extraction.platform.local.postgres import BINARIES
from extraction.replicate.copying.limits import Limits
from extraction.replicate.errors import NotHome
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import Progress
from extraction.replicate.removal import remove
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import Servers, as_owner, connect, wait_for

LEFT = {
    "slots": "select slot_name from pg_replication_slots where database = current_database()",
    "publications": "select pubname from pg_publication",
    "subscriptions": "select subname from pg_subscription",
    "roles": "select rolname from pg_roles where rolname ~ %s",
    "origins": "select roname from pg_replication_origin where roname ~ %s"
    " or roname in (select 'pg_' || oid from pg_subscription)",
}


def replicate(pair: Pair) -> None:
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda sentence: None, timeout_s=60)


@pytest.mark.parametrize("where", ["pair", "pair_on_one_server"])
def test_nothing_is_left_and_the_schema_is_as_before(where: str, request: pytest.FixtureRequest) -> None:
    pair: Pair = request.getfixturevalue(where)
    before, origins = dumped(pair.source), [origins_of(side) for side in (pair.source, pair.target)]
    replicate(pair)
    assert dumped(pair.source) != before
    assert remove(pair) == []
    assert dumped(pair.source) == before
    for side in (pair.source, pair.target):
        assert left(pair, side) == {}
    assert [origins_of(side) for side in (pair.source, pair.target)] == origins
    with as_owner(pair.source) as owner:
        owner.execute("insert into ticket (writer, number) values (1, 1)")
    assert remove(pair) == []


def test_what_is_not_home_stays_closed(pair: Pair) -> None:
    replicate(pair)
    remove(pair)
    with as_owner(pair.target) as owner:
        with pytest.raises(Exception, match="inventory lives in monolith") as refused:
            owner.execute("insert into ticket (writer, number) values (1, 1)")
    assert getattr(refused.value, "sqlstate", "") == "MV001"


def test_a_copy_that_is_under_way_leaves_no_slot(pair: Pair) -> None:
    copy_without_end(pair)
    assert remove(pair) == []
    for side in (pair.source, pair.target):
        assert left(pair, side) == {}
    assert not copying_slots(pair)


def test_a_copy_whose_target_went_away_leaves_no_slot(pair: Pair, servers: Servers) -> None:
    copy_without_end(pair)
    servers.target.stop(how="crash")
    assert len(remove(pair)) == 1
    assert left(pair, pair.source) == {}
    assert not copying_slots(pair)


@pytest.mark.parametrize("how", ["fast", "crash"])
def test_the_source_is_clean_though_the_target_is_away(pair: Pair, servers: Servers, how: Any) -> None:
    before = dumped(pair.source)
    replicate(pair)
    servers.target.stop(how=how)
    (named,) = remove(pair)
    assert "inventory" in named
    assert "manage.py extract abort inventory" in named
    assert dumped(pair.source) == before
    assert left(pair, pair.source) == {}
    servers.target.start()
    assert remove(pair) == []
    assert left(pair, pair.target) == {}


def test_the_target_is_clean_though_the_source_is_away(pair: Pair, servers: Servers) -> None:
    before = dumped(pair.source)
    replicate(pair)
    servers.source.stop()
    (named,) = remove(pair)
    assert "with which it refuses writes of inventory" in named
    assert left(pair, pair.target) == {}
    servers.source.start()
    assert remove(pair) == []
    assert dumped(pair.source) == before


def test_begun_again_after_it_was_called_off_it_copies_anew(pair: Pair) -> None:
    replicate(pair)
    remove(pair)
    replicate(pair)
    with as_owner(pair.source) as source, as_owner(pair.target) as target:
        assert source.execute("select count(*) from movement").fetchone() == (150,)
        assert target.execute("select count(*) from movement").fetchone() == (150,)


def test_refused_while_the_module_lives_in_the_target(pair: Pair) -> None:
    replicate(pair)
    with connect(pair.source) as admin:
        admin.execute(pair.objects.query("hand_over"), {"to": pair.target.unit, "epoch": 0})
    with pytest.raises(NotHome, match=r"manage\.py extract rollback inventory"):
        remove(pair)
    assert left(pair, pair.source) != {}


def copy_without_end(pair: Pair) -> None:
    replicate(pair)
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create table late (id int primary key, number int)")
    with as_owner(pair.source) as owner:
        owner.execute("insert into late values (1, 1), (2, 1)")
    prepare(pair)
    with as_owner(pair.target) as owner:
        owner.execute("create unique index on late (number)")  # refuses what the source sends
    start(pair)
    wait_for(lambda: copying_slots(pair))


def dumped(side: Side) -> str:
    """The schema of the database, and who may do what in it."""
    parts = urlsplit(side.url)
    return subprocess.run(
        [BINARIES / "pg_dump", "--schema-only", "--restrict-key=same", "--create", "--dbname", side.url],
        env=os.environ | {"PGPASSWORD": parts.password or ""},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def left(pair: Pair, side: Side) -> dict[str, list[Any]]:
    found = {}
    with connect(side) as admin:
        for what, query in LEFT.items():
            given = [f"^{pair.name}_"] if "%s" in query else None
            if rows := admin.execute(query, given).fetchall():
                found[what] = rows
    return found


def origins_of(side: Side) -> list[Any]:
    with connect(side) as admin:
        return admin.execute("select roname from pg_replication_origin order by 1").fetchall()


def copying_slots(pair: Pair) -> list[Any]:
    with connect(pair.source) as admin:
        return admin.execute(
            "select slot_name from pg_replication_slots where slot_name ~ '^pg_[0-9]+_sync_' and database = %s",
            [admin.info.dbname],
        ).fetchall()


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_first_copy_that_was_killed_leaves_nothing(pair: Pair, share: float) -> None:
    before, origins = dumped(pair.source), [origins_of(side) for side in (pair.source, pair.target)]
    tables = dumped(pair.target).count("CREATE TABLE")
    with as_owner(pair.source) as owner:
        owner.execute("insert into product (name, price) select repeat('p', 90), n from generate_series(1, 20000) n")

    def die(now: Progress) -> None:
        if now.share >= share:
            os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        prepare(pair)
        start(pair, limits=Limits(workers=2, chunk_bytes=2**17, max_mb_s=1), watch=die)

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with connect(pair.source) as source, connect(pair.target) as target:
        assert holders_of(pair, source)
        assert dumped(pair.target).count("CREATE TABLE") > tables
        assert remove(pair) == []
        assert not holders_of(pair, source)
        assert not target.execute("select from pg_namespace where nspname ~ '_copy$'").fetchall()
    assert dumped(pair.source) == before
    for side in (pair.source, pair.target):
        assert left(pair, side) == {}
    assert [origins_of(side) for side in (pair.source, pair.target)] == origins


def holders_of(pair: Pair, source: Any) -> list[Any]:
    query = "select pid from pg_stat_activity where application_name = %s"
    return list(source.execute(query, [f"{pair.name}_holder"]).fetchall())
