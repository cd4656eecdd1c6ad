"""The first copy: every row once, whatever is killed meanwhile, and no faster than the servers bear."""

import multiprocessing
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from extraction.replicate.copying.ledger import has_ledger, snapshot_of, tally
from extraction.replicate.copying.limits import Limits
from extraction.replicate.errors import NotCopied
from extraction.replicate.governor import Followers, Governor, Strain
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import Progress, is_complete
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import Servers, as_owner, connect, lose, meanwhile, rows, wait_for

MANY = 30_000
"""Rows of `product`, some 3 MB."""
SLOW = Limits(workers=3, chunk_bytes=2**17, max_mb_s=1.0)
"""Some seconds for so many, in some 30 chunks."""
ODD = ("extra_float_digits = -10", "bytea_output = escape", "timezone = 'Asia/Tokyo'")
TABLES = ("product", "reservation", "stock", "movement", 'Odd "table" %s', "ticket")


class Stop(Exception):
    """Somebody stops the copy."""


@pytest.fixture
def large(pair: Pair) -> Pair:
    """The pair with many products, ready to be copied."""
    fill(pair, MANY)
    prepare(pair)
    return pair


def test_a_table_in_many_parts_is_equal_though_it_is_written_meanwhile(large: Pair) -> None:
    with hammering(large.source):
        copied = start(large, limits=SLOW, watch=once(0.3, lambda: truncate(large.source)))
        follow(large, tell=lambda _: None)
    assert copied.rows > MANY
    caught_up(large)
    assert differing(large) == []
    assert is_complete(large) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_killed_it_goes_on_and_copies_no_row_twice(large: Pair, share: float) -> None:
    killed_at(large, share)
    with connect(large.target) as target:
        there = dict(target.execute("select id, xmin::text from inventory.product").fetchall())
    told: list[str] = []
    copied = start(large, limits=SLOW, tell=told.append)
    assert told[0] == "going on with the copy that was broken off"
    with connect(large.target) as target:
        now = dict(target.execute("select id, xmin::text from inventory.product").fetchall())
    assert there.items() <= now.items()
    assert copied.rows + len(there) >= MANY
    follow(large, tell=lambda _: None)
    assert differing(large) == []


def test_stopped_it_says_until_when_and_goes_on(large: Pair) -> None:
    told = stopped_at(large, 0.2)
    assert "its snapshot is kept until" in told[-1]
    start(large, limits=SLOW, tell=told.append)
    assert told[-1] == "going on with the copy that was broken off"
    assert differing(large) == []


def test_without_its_snapshot_it_begins_anew(large: Pair) -> None:
    stopped_at(large, 0.2)
    with connect(large.source) as source, connect(large.target) as target:
        snapshot = snapshot_of(large, target)
        assert snapshot is not None
        source.execute("select pg_terminate_backend(%s)", [snapshot.pid])
        wait_for(lambda: not snapshot.is_held(source))
        source.execute("update inventory.product set name = 'changed' where id % 3 = 0")
    told: list[str] = []
    copied = start(large, limits=SLOW, tell=told.append)
    assert "the copy begins anew: nobody holds its snapshot any more" in told[0]
    assert copied.rows >= MANY
    follow(large, tell=lambda _: None)
    assert differing(large) == []


def test_a_snapshot_that_nobody_needs_any_more_holds_nothing(large: Pair) -> None:
    stopped_at(large, 0.2, Limits(workers=2, chunk_bytes=2**17, max_mb_s=1.0, keep_snapshot_s=1.0))
    with connect(large.source) as source:
        wait_for(lambda: not sessions(large, source) and not slots(large, source))
    told: list[str] = []
    start(large, tell=told.append)
    assert "the copy begins anew: slot" in told[0]
    assert differing(large) == []


def test_the_snapshot_is_kept_as_long_as_somebody_copies(large: Pair) -> None:
    copied = start(large, limits=Limits(workers=2, chunk_bytes=2**17, max_mb_s=1.0, keep_snapshot_s=0.3))
    assert copied.seconds > 1
    assert differing(large) == []


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_server_that_ends_breaks_the_copy_off_and_it_is_mended(large: Pair, servers: Servers, side: str) -> None:
    server = getattr(servers, side)
    with pytest.raises((NotCopied, psycopg.Error)) as broken:
        start(large, limits=SLOW, watch=once(0.2, lambda: server.stop(how="crash")))
    assert isinstance(broken.value, NotCopied)
    assert "manage.py extract replicate inventory" in str(broken.value)
    server.start()
    told: list[str] = []
    start(large, limits=SLOW, tell=told.append)
    assert told[0].startswith("going on" if side == "target" else "the copy begins anew")
    follow(large, tell=lambda _: None)
    assert differing(large) == []


def test_a_log_that_the_source_throws_away_is_told_of_and_begun_anew(large: Pair) -> None:
    def flood() -> None:
        with connect(large.source) as admin:
            lose(admin, large.out.name)

    told: list[str] = []
    with pytest.raises(NotCopied, match=r"max_slot_wal_keep_size.*begin anew: manage.py extract replicate inventory"):
        start(large, limits=SLOW, watch=once(0.1, flood), tell=told.append)
    assert not any("is kept until" in sentence for sentence in told)
    told.clear()
    start(large, tell=told.append)
    assert "the copy begins anew: slot" in told[0]
    assert differing(large) == []


@pytest.mark.parametrize(
    "statements",
    [
        ["create index shuffled on product (md5(name))", "cluster product using shuffled", "drop index shuffled"],
        ["alter table product alter column attributes type jsonb using attributes || '{}'"],
    ],
    ids=["rows are elsewhere", "rows are too new to be seen"],
)
def test_a_table_that_is_rewritten_meanwhile_is_copied_by_the_subscription(large: Pair, statements: list[str]) -> None:
    def rewrite() -> None:
        with as_owner(large.source) as owner:
            for statement in statements:
                owner.execute(statement)

    start(large, limits=SLOW, watch=once(0.1, rewrite))
    follow(large, tell=lambda _: None)
    assert is_complete(large) == []
    assert differing(large) == []


def test_a_table_that_comes_while_the_copy_rests_is_copied_too(large: Pair) -> None:
    stopped_at(large, 0.2)
    for side in (large.source, large.target):
        with as_owner(side) as owner:
            owner.execute("create table late (id int primary key)")
    with as_owner(large.source) as owner:
        owner.execute("insert into late values (1)")
    prepare(large)
    with as_owner(large.source) as owner:
        owner.execute("insert into late values (2)")
    start(large)
    follow(large, tell=lambda _: None)
    assert is_complete(large) == []
    assert len(rows(large.target, "late")) == 2
    assert differing(large) == []


def test_values_arrive_as_they_are_whatever_the_servers_say(pair: Pair) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute(
                """create table wide (
                  id int generated always as identity primary key, gone text, "per % cent" text, a float8, b float4,
                  c interval, d timestamptz, e date, f bytea, g jsonb, h money, i text[],
                  k text generated always as (upper("per % cent")) stored
                );
                alter table wide drop column gone;
                create table empty (id int primary key);
                create table parent (id int primary key, name text);
                create table child (primary key (id)) inherits (parent)"""
            )
    with as_owner(pair.source) as owner:
        owner.execute(
            """insert into wide ("per % cent", a, b, c, d, e, f, g, h, i)
               select e'a\\tb\\\\N\\n' || n, 0.1 + n / 3.0, 'NaN', '1 mon -2 days 03:04:05.678', '2026-03-29 02:30+02',
                 '2026-02-01', decode(repeat(md5(n::text), 300), 'hex'), '{"b": 1, "a": [null, 1.00]}', 12.34,
                 array[null, '', ',']
               from generate_series(1, 300) n;
               insert into parent values (1, 'parent'); insert into child values (2, 'child')"""
        )
    for side, style in ((pair.source, "German"), (pair.target, "SQL, DMY")):
        with connect(side) as admin:
            name = admin.info.dbname
            for setting in (*ODD, f"datestyle = '{style}'"):
                admin.execute(f"alter database {name} set {setting}")
    prepare(pair)
    start(pair, limits=Limits(chunk_bytes=2**15))
    for side in (pair.source, pair.target):
        with connect(side) as admin:
            for setting in ("datestyle", "extra_float_digits", "bytea_output", "timezone"):
                admin.execute(f"alter database {admin.info.dbname} reset {setting}")
    for table in ("wide", "empty", "parent", "child"):
        assert as_text(pair.source, table) == as_text(pair.target, table)
    assert len(as_text(pair.target, "wide")) == 300
    assert differing(pair) == []


def test_a_full_disk_breaks_the_copy_off_and_what_is_copied_stays(large: Pair, small_disk: Path) -> None:
    fill(large, 150_000)
    with connect(large.target) as admin:
        admin.execute(f"create tablespace small location '{small_disk}'")
        try:
            admin.execute("alter table inventory.product set tablespace small")
            with pytest.raises(
                NotCopied, match=r"No space left on device.*go on: manage.py extract replicate inventory"
            ):
                start(large)
            copied = rows_of_ledger(large)
            assert copied > 0
            admin.execute("alter table inventory.product set tablespace pg_default")
        finally:
            with suppress(psycopg.Error):
                admin.execute("alter table inventory.product set tablespace pg_default")
            admin.execute("drop tablespace small")
    start(large)
    assert differing(large) == []


def test_no_more_than_the_rate_passes(large: Pair) -> None:
    limits = Limits(workers=4, chunk_bytes=2**17, max_mb_s=0.5)
    copied = start(large, limits=limits)
    assert copied.bytes > 2**21
    assert copied.bytes / copied.seconds <= limits.max_mb_s * 2**20 * 1.05


def test_what_is_held_passes_when_it_is_released() -> None:
    governor, stopping, passed = Governor(), threading.Event(), threading.Event()

    def work() -> None:
        governor.take(1, stopping)
        passed.set()

    governor.hold()
    thread = threading.Thread(target=work)
    thread.start()
    assert not passed.wait(0.3)
    governor.release()
    assert passed.wait(10)
    thread.join()


def test_a_source_that_commits_slowly_is_seen_and_in_time_taken_as_it_is(pair: Pair) -> None:
    with connect(pair.source) as admin:
        strain = Strain(admin)
        with freezing(admin.info.backend_pid):
            wait_for(lambda: strain.told().startswith("a commit takes "))
            usual_ms = strain.usual_ms
            wait_for(lambda: not strain.told() and strain.usual_ms > 3 * usual_ms, within_s=60)


def test_a_slot_that_falls_behind_is_seen_and_ours_is_not(pair: Pair) -> None:
    with connect(pair.source) as admin:
        admin.execute("create publication everything for all tables")
        name = f"other_{pair.id}"
        admin.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
        other = make_conninfo(pair.source.url, replication="database")
        with closing(psycopg.connect(other, autocommit=True)) as reader:  # it reads, and says nothing of it
            options = "(proto_version '1', publication_names 'everything')"
            reader.pgconn.send_query(f"START_REPLICATION SLOT {name} LOGICAL 0/0 {options}".encode())
            reader.pgconn.flush()
            active = "select active from pg_replication_slots where slot_name = %s"
            wait_for(lambda: admin.execute(active, [name]).fetchone() == (True,))
            others = Followers(admin, except_for=f"{pair.name}_", most_mb=1)
            ours = Followers(admin, except_for="other_", most_mb=1)
            assert others.told() == ""
            admin.execute("select pg_logical_emit_message(false, '', repeat('x', 1000000)) from generate_series(1, 3)")
            # What is still in the buffers of the log nobody could have read.
            wait_for(lambda: f"slot {name} has fallen behind by" in others.told())
            assert name not in ours.told()


def test_an_idle_module_holds_no_log_of_a_busy_server(pair: Pair) -> None:
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None)
    is_past = "select restart_lsn >= %s::pg_lsn from pg_replication_slots where slot_name = %s"
    with connect(pair.source) as source, psycopg.connect(elsewhere(pair.source), autocommit=True) as other:
        other.execute("select pg_logical_emit_message(false, '', repeat('x', 1000000)) from generate_series(1, 20)")
        (written,) = other.execute("select pg_current_wal_lsn()").fetchone() or (None,)

        def is_free() -> bool:
            other.execute("checkpoint")
            return source.execute(is_past, [written, pair.out.name]).fetchone() == (True,)

        wait_for(is_free, within_s=60)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 12 MB, of the system user that PostgreSQL runs as."""
    disk = Path(tempfile.mkdtemp(prefix="shop-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m,mode=777", "tmpfs", str(disk)]
    if os.geteuid() or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting takes root")
    disk.chmod(0o777)
    space = disk / "space"
    space.mkdir()
    shutil.chown(space, "pgserver", "pgserver")
    space.chmod(0o700)
    yield space
    subprocess.run(["umount", str(disk)], check=True)
    disk.rmdir()


def fill(pair: Pair, count: int) -> None:
    with as_owner(pair.source) as owner:
        owner.execute(
            "insert into product (name, price, attributes) select repeat('p', 60) || n, n, jsonb_build_object('n', n)"
            " from generate_series(1, %s) n",
            [count],
        )


def once(share: float, do: Callable[[], Any]) -> Callable[[Progress], None]:
    """Do it as soon as so much is copied."""
    done: list[bool] = []

    def see(now: Progress) -> None:
        if now.share >= share and not done and not now.is_streaming:
            done.append(True)
            do()

    return see


def stopped_at(pair: Pair, share: float, limits: Limits = SLOW) -> list[str]:
    """What is told when somebody stops the copy there."""
    told: list[str] = []

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        start(pair, limits=limits, watch=once(share, stop), tell=told.append)
    with connect(pair.target) as target:
        assert has_ledger(pair, target)
    return told


def killed_at(pair: Pair, share: float) -> None:
    def work() -> None:
        start(pair, limits=SLOW, watch=once(share, lambda: os.kill(os.getpid(), signal.SIGKILL)))

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


@contextmanager
def hammering(side: Side) -> Iterator[None]:
    """Inserts, updates, deletes and truncations, until the end."""

    def write(is_over: threading.Event) -> None:
        with as_owner(side) as owner:
            number = 0
            while not is_over.is_set():
                number += 1
                owner.execute("insert into product (name, price) values ('new', %s)", [number])
                owner.execute("update product set price = price + 1 where id %% 5000 = %s", [number % 5000])
                owner.execute("delete from product where id = %s", [number * 7])
                if number % 20 == 0:
                    owner.execute("truncate reservation")
                owner.execute("insert into reservation (quantity) values (%s)", [number])

    with meanwhile(write):
        yield


@contextmanager
def freezing(pid: int) -> Iterator[None]:
    """A server process that hangs for half a second again and again."""

    def freeze(is_over: threading.Event) -> None:
        while not is_over.is_set():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.5)
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.001)

    with meanwhile(freeze):
        yield


def truncate(side: Side) -> None:
    with as_owner(side) as owner:
        owner.execute("truncate movement_2025")


def caught_up(pair: Pair) -> None:
    with connect(pair.source) as here, connect(pair.target) as there:
        (beat,) = here.execute(pair.objects.query("beat")).fetchone() or (0,)
        read, given = pair.objects.query("beat_of"), {"unit": pair.source.unit}
        wait_for(lambda: there.execute(read, given).fetchone() == (beat,), within_s=60)


def differing(pair: Pair) -> list[str]:
    caught_up(pair)
    return [table for table in TABLES if rows(pair.source, table) != rows(pair.target, table)]


def as_text(side: Side, table: str) -> list[Any]:
    with connect(side) as admin:
        admin.execute("set timezone = utc")
        return admin.execute(f"select t::text from only inventory.{table} t order by id").fetchall()


def rows_of_ledger(pair: Pair) -> int:
    with connect(pair.target) as target:
        return tally(pair, target).rows


def sessions(pair: Pair, admin: Any) -> list[Any]:
    return list(
        admin.execute(
            "select pid from pg_stat_activity where application_name = %s", [f"{pair.name}_holder"]
        ).fetchall()
    )


def slots(pair: Pair, admin: Any) -> list[Any]:
    return list(admin.execute("select 1 from pg_replication_slots where slot_name = %s", [pair.out.name]).fetchall())


def elsewhere(side: Side) -> str:
    return f"{side.url.rpartition('/')[0]}/postgres"
