"""The source fails over to a standby, or comes back from an old copy: there is one home, and what is amiss is said."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from extraction.cutover.copies import require_original_source
from extraction.cutover.errors import Behind, Copied
from extraction.cutover.switch import switch
from extraction.cutover.verify import verify
from extraction.platform.local.postgres import BINARIES, Postgres
from extraction.replicate.pair import Pair
from extraction.replicate.progress import is_complete
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.commands import project
from tests.extraction.conftest import Server, Servers, _new_pair, as_owner, connect, wait_for
from tests.extraction.coordinator import coordinator
from tests.extraction.test_switch import can_write, place, places, stopped
from tests.extraction.two_servers import EXTRACTION

pytestmark = pytest.mark.timeout(300)
STANDBY = "standby_1"


@pytest.fixture
def source() -> Iterator[Server]:
    """A server of its own, as its settings differ and it dies."""
    directory = Path(tempfile.mkdtemp(prefix="shop-primary-"))
    made = Server(Postgres(directory, durable=False))
    made.postgres.prepare()
    made.start()
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture
def pair(source: Server, servers: Servers) -> Iterator[Pair]:
    with _new_pair(source, servers.target) as made:
        prepare(made)
        start(made)
        follow(made, tell=print, timeout_s=60)
        yield made


@pytest.fixture
def standby(pair: Pair, source: Server) -> Iterator[Server]:
    """A physical standby that has all that the source has, with the slots of the streams."""
    with connect(pair.source) as admin:
        admin.execute("select pg_create_physical_replication_slot(%s)", [STANDBY])
    made = copied(source, "--slot", STANDBY, "--write-recovery-conf")
    configure(
        made,
        f"primary_conninfo = '{source.postgres.url()}?application_name={STANDBY}'",
        f"primary_slot_name = '{STANDBY}'",
        "hot_standby_feedback = on",
        "sync_replication_slots = on",
    )
    made.start()
    configure(source, f"synchronized_standby_slots = '{STANDBY}'")
    with connect(pair.source) as admin:
        admin.execute("select pg_reload_conf()")
    yield made
    made.stop()
    shutil.rmtree(made.postgres.directory)


def copied(of: Server, *options: str) -> Server:
    """A server with what this one has, at a port of its own."""
    made = Server(Postgres(Path(tempfile.mkdtemp(prefix="shop-copy-")), durable=False))
    shutil.copy(of.postgres.directory / "password", made.postgres.directory / "password")
    made.postgres.claim()
    command = [str(BINARIES / "pg_basebackup"), "--dbname", of.postgres.url(), "--pgdata", str(made.postgres.data)]
    subprocess.run([*command, "--checkpoint", "fast", *options], check=True, capture_output=True)
    if made.postgres.user:
        subprocess.run(["chown", "-R", made.postgres.user, str(made.postgres.data)], check=True)
    configure(made, f"port = {made.postgres.port}")
    made.postgres.directory.chmod(0o755)
    return made


def configure(server: Server, *lines: str) -> None:
    with (server.postgres.data / "postgresql.conf").open("a") as file:
        file.write("\n".join(["", *lines, ""]))


def in_its_place(old: Server, source: Server) -> None:
    """The copy answers where the source did."""
    configure(old, f"port = {source.postgres.port}")
    (old.postgres.directory / "port").write_text(str(source.postgres.port))
    old.start()


def in_place_of(old: Server, new: Server) -> None:
    """The name that everybody connects to leads to this server from now on, which accepts writes."""
    with psycopg.connect(new.postgres.url(), autocommit=True) as admin:
        assert admin.execute("select pg_promote()").fetchone() == (True,)
    new.stop()
    configure(new, f"port = {old.postgres.port}", "synchronized_standby_slots = ''")
    (new.postgres.directory / "port").write_text(str(old.postgres.port))
    new.start()


def synced(standby: Server, pair: Pair) -> bool:
    """The slot came along. It does once the source's has gone on since the standby began."""
    with connect(pair.source) as admin:
        admin.execute("select pg_log_standby_snapshot()")
        admin.execute(pair.objects.query("beat"))
    time.sleep(0.3)
    with psycopg.connect(standby.postgres.url(), autocommit=True) as admin:
        found = "select from pg_replication_slots where slot_name = %s and synced and not temporary"
        return admin.execute(found, [pair.out.name]).fetchone() is not None


def test_what_a_standby_does_not_have_does_not_open_the_target(pair: Pair, source: Server, standby: Server) -> None:
    wait_for(lambda: synced(standby, pair), within_s=90)
    options: dict[str, Any] = {"failpoint": "cutover.before_commit:stop", "to": "inventory", "max_pause_ms": 60_000}
    with coordinator(pair, **options, open_within_s=1) as process:
        wait_for(lambda: stopped(process))
        assert standby.process is not None
        standby.stop(how="crash")  # cut off
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    assert printed.startswith("NotOpen: inventory has moved to inventory (epoch 1)"), printed
    assert place(pair, pair.source) == ("inventory", 1)
    assert place(pair, pair.target) == ("monolith", 0)

    source.stop(how="crash")
    standby.start()
    in_place_of(source, standby)

    assert places(pair) == [("monolith", 0)] * 2
    assert [can_write(pair.source), can_write(pair.target)] == [True, False]
    # The streams go on from where they were, for the slots came along, and the switch is made again.
    wait_for(lambda: not is_complete(pair), within_s=60)
    assert switch(pair, to="inventory").epoch == 1
    assert [can_write(pair.source), can_write(pair.target)] == [False, True]
    assert verify(pair).equal


def test_no_switch_begins_while_the_standby_is_behind(pair: Pair, standby: Server) -> None:
    standby.stop(how="crash")
    with pytest.raises(Behind, match="did not arrive in inventory"):
        switch(pair, to="inventory", attempts=2)
    assert can_write(pair.source)
    standby.start()
    assert switch(pair, to="inventory").epoch == 1


def test_a_source_from_an_old_copy_is_found_out(pair: Pair, source: Server) -> None:
    old = copied(source)
    try:
        for to in ("inventory", "monolith"):
            switch(pair, to=to)
        source.stop(how="crash")
        in_its_place(old, source)
        # Its subscription may have run and brought the newest row, but not what came between.
        for to in ("inventory", "monolith"):
            if place(pair, pair.source) == (to, 2):
                continue  # it is there already, which is all that is said
            with pytest.raises(Copied, match=r"monolith runs on a copy .*extraction.closed = 'inventory'"):
                switch(pair, to=to)
        with pytest.raises(Copied):
            require_original_source(pair)
    finally:
        old.stop()
        shutil.rmtree(old.postgres.directory)
        with suppress(psycopg.Error):
            source.start()


def test_a_source_from_a_copy_of_the_same_epoch_is_found_out_by_its_heartbeat(pair: Pair, source: Server) -> None:
    old = copied(source)
    try:
        with connect(pair.source) as admin:
            for _ in range(3):
                beat = admin.execute(pair.objects.query("beat")).fetchone()
        with connect(pair.target) as admin:
            query = pair.objects.query("beat_of")
            wait_for(lambda: admin.execute(query, {"unit": "monolith"}).fetchone() == beat)
        source.stop(how="crash")
        in_its_place(old, source)
        with pytest.raises(Copied, match=r"inventory has seen heartbeat \d+ of monolith, whose own is at \d+"):
            switch(pair, to="inventory")
        assert places(pair) == [("monolith", 0)] * 2
    finally:
        old.stop()
        shutil.rmtree(old.postgres.directory)
        source.start()


def test_status_says_what_shows_a_copy_and_does_not_wear_it_away(
    source: Server, servers: Servers, db: None, settings: Any
) -> None:
    settings.EXTRACTION = EXTRACTION
    with _new_pair(source, servers.target) as pair, project(pair) as moving:
        moving.do("provision", "replicate")
        old = copied(source)
        try:
            for _ in range(3):
                assert moving.status()["problems"] == []
            source.stop(how="crash")
            in_its_place(old, source)
            for _ in range(5):
                now = moving.status()
                assert any("inventory has seen heartbeat" in problem for problem in now["problems"])
                assert (now["next"], now["lag_s"]) == ("manage.py extract status inventory", None)
            assert "monolith runs on a copy of an earlier time" in moving.refused("replicate")
            assert "monolith runs on a copy of an earlier time" in moving.refused("cutover", "--override", "tried")
        finally:
            old.stop()
            shutil.rmtree(old.postgres.directory)
            source.start()


def test_status_says_that_a_server_was_started_closed_and_whether_that_closes_it(
    source: Server, servers: Servers, db: None, settings: Any
) -> None:
    settings.EXTRACTION = EXTRACTION
    with _new_pair(source, servers.target) as pair, project(pair) as moving:
        moving.do("provision")
        with connect(pair.source) as admin:
            admin.execute("alter system set extraction.closed = 'orders, inventory'")
            admin.execute("select pg_reload_conf()")
        (problem,) = moving.status()["problems"]
        assert "tables of inventory have no fence, and nothing refuses writes" in problem
        with connect(pair.source) as admin:
            admin.execute("alter system reset extraction.closed")
            admin.execute("select pg_reload_conf()")
        moving.do("replicate")
        with connect(pair.source) as admin:
            admin.execute("alter system set extraction.closed = 'orders, inventory'")
            admin.execute("select pg_reload_conf()")
            before = admin.execute(pair.objects.query("beat_of"), {"unit": "monolith"}).fetchone()
            (problem,) = moving.status()["problems"]
            assert "monolith: its server was started with extraction.closed and refuses all writes" in problem
            assert admin.execute(pair.objects.query("beat_of"), {"unit": "monolith"}).fetchone() == before


def test_a_copy_that_is_started_closed_accepts_nothing(pair: Pair, source: Server) -> None:
    old = copied(source)
    try:
        configure(old, "max_logical_replication_workers = 0", "extraction.closed = 'orders, inventory'")
        old.start()
        name = pair.source.url.rpartition("/")[2]
        with psycopg.connect(old.postgres.url(name), autocommit=True) as admin:
            with pytest.raises(psycopg.Error, match="inventory is closed here"):
                admin.execute("insert into inventory.product (name, price) values ('x', 1)")
            assert admin.execute("select count(*) from pg_stat_subscription where pid is not null").fetchone() == (0,)
        with as_owner(pair.source) as owner:
            owner.execute("insert into product (name, price) values ('x', 1)")
    finally:
        old.stop()
        shutil.rmtree(old.postgres.directory)
