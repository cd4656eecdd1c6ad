"""What whole servers lack: old ones, poor ones, and those with standbys."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from extraction.platform.local.ports import free_port
from extraction.platform.local.postgres import BINARIES, SYSTEM_USER, Postgres
from extraction.platform.local.tether import become, end_with_parent
from extraction.replicate.copying.limits import Limits
from extraction.replicate.obstacles import activity
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import obstacles
from tests.extraction.conftest import Server, Servers, connect, wait_for

POOR = """
wal_level = replica
max_replication_slots = 0
max_wal_senders = 1
max_logical_replication_workers = 1
max_active_replication_origins = 1
max_worker_processes = 0
idle_replication_slot_timeout = '1min'
default_transaction_isolation = 'serializable'
max_prepared_transactions = 2
"""
LACKS = {
    *("wal_level", "idle_slots", "max_replication_slots", "max_wal_senders", "max_logical_replication_workers"),
    *("max_active_replication_origins", "max_worker_processes", "isolation", "prepared_transaction"),
}


def test_a_poor_server_is_named_with_each_setting_and_is_none_with_them(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "LONG_S", 0)
    with another_server(POOR) as server:
        poor = replace(pair, target=Side("inventory", server.postgres.url()))
        with connect(poor.target) as admin:
            admin.execute("begin; create table public.note (); prepare transaction 'it''s % odd'")
        found = [each for each in obstacles(poor) if each.code != "not_installed"]
        assert {each.code for each in found} == LACKS
        (origins,) = (each.mend for each in found if each.code == "max_active_replication_origins")
        assert origins.endswith(f"= '{2 + Limits().workers}';"), "one for each stream and each worker that copies"
        with connect(poor.target) as admin:
            for each in found:
                for statement in each.mend.split("; "):
                    admin.execute(statement)
        server.stop()
        server.start()
        server.postgres.wait()
        assert [each.code for each in obstacles(poor)] == ["not_installed"]


def test_a_standby_is_to_be_waited_for_by_streams(pair: Pair, servers: Servers) -> None:
    with standby_of(servers.source.postgres, slot="one_standby") as standby:
        with connect(pair.source) as admin:
            wait_for(lambda: admin.execute("select 1 from pg_stat_replication where state = 'streaming'").fetchone())
            (found,) = [each for each in obstacles(pair) if each.code == "standby"]
            try:
                for statement in found.mend.split("; "):
                    admin.execute(statement)
                wait_for(lambda: "standby" not in [each.code for each in obstacles(pair)])
            finally:
                admin.execute("alter system reset synchronized_standby_slots")
                admin.execute("select pg_reload_conf()")

        name = pair.source.url.rpartition("/")[2]
        wait_for(lambda: answers(standby.url(name)))
        there = replace(pair, source=Side("monolith", standby.url(name)))
        assert [each.code for each in obstacles(there)] == ["in_recovery"]
    with connect(pair.source) as admin:
        wait_for(lambda: not admin.execute("select 1 from pg_stat_replication where state = 'streaming'").fetchone())
        admin.execute("select pg_drop_replication_slot('one_standby')")


def test_a_standby_without_a_slot_is_named_too(pair: Pair, servers: Servers) -> None:
    with standby_of(servers.source.postgres, slot=""), connect(pair.source) as admin:
        wait_for(lambda: admin.execute("select 1 from pg_stat_replication where state = 'streaming'").fetchone())
        (found,) = [each for each in obstacles(pair) if each.code == "standby"]
        assert "pg_create_physical_replication_slot" in found.mend


def test_a_server_too_old_for_it_is_named(pair: Pair) -> None:
    with old_server() as url:
        found = obstacles(Pair("old", pair.module, pair.schema, pair.source, Side("inventory", url)))
    assert [each.code for each in found] == ["version", "text_hash"]
    assert "PostgreSQL 15" in found[0].what


@contextmanager
def another_server(settings: str) -> Iterator[Server]:
    """One of its own."""
    directory = Path(tempfile.mkdtemp(prefix="shop-poor-"))
    server = Server(Postgres(directory, durable=False))
    server.postgres.prepare()
    with (server.postgres.data / "postgresql.conf").open("a") as file:
        file.write(settings)
    server.start()
    server.postgres.wait()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory)


@contextmanager
def standby_of(primary: Postgres, *, slot: str) -> Iterator[Postgres]:
    """A hot standby, which reads from this slot."""
    directory = Path(tempfile.mkdtemp(prefix="shop-standby-"))
    standby = Postgres(directory, durable=False)
    standby.claim()
    (directory / "password").write_text((primary.directory / "password").read_text())
    slots = ["--create-slot", f"--slot={slot}"] if slot else []
    subprocess.run(
        [BINARIES / "pg_basebackup", "-d", primary.url(), "-D", directory / "data", "-R", "-c", "fast", *slots],
        check=True,
        capture_output=True,
    )
    with (directory / "data" / "postgresql.auto.conf").open("a") as file:
        file.write(f"port = {standby.port}\n")
    if standby.user:
        for folder, _, files in os.walk(directory):
            for path in (folder, *(os.path.join(folder, file) for file in files)):
                shutil.chown(path, standby.user, standby.user)
    process = standby.start(directory / "log")
    standby.wait()
    try:
        yield standby
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
        shutil.rmtree(directory)


@contextmanager
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
    wait_for(lambda: answers(url))
    yield url
    process.send_signal(signal.SIGINT)
    process.wait()
    shutil.rmtree(directory)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True
