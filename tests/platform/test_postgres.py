import os
import socket
from pathlib import Path

import psycopg
import pytest

from extraction.platform.errors import NoServer, PortTaken
from extraction.platform.local import postgres
from extraction.platform.local.ports import check_port, free_port, is_free
from extraction.platform.local.postgres import Postgres


def test_the_server_can_replicate_every_module(own_server: Postgres) -> None:
    with psycopg.connect(own_server.url()) as connection:
        settings: dict[str, str] = dict(
            connection.execute(
                "select name, setting from pg_settings where name in ('wal_level', 'max_replication_slots', "
                "'max_logical_replication_workers', 'idle_replication_slot_timeout', 'unix_socket_directories')"
            ).fetchall()
        )
    assert settings == {
        "wal_level": "logical",
        "max_replication_slots": "40",
        "max_logical_replication_workers": "24",
        "idle_replication_slot_timeout": "0",
        "unix_socket_directories": "",
    }


def test_the_server_of_the_shop_is_durable(state: Path) -> None:
    server = Postgres(state / "durable")
    server.data.mkdir(parents=True)
    (server.data / "PG_VERSION").write_text("18")  # stands for a cluster: only the settings are written
    server.prepare()
    assert "fsync" not in (server.data / "postgresql.conf").read_text()


def test_the_administrators_password_is_its_owners_alone(own_server: Postgres) -> None:
    stat = (own_server.directory / "password").stat()
    assert (stat.st_mode & 0o777, stat.st_uid) == (0o600, os.geteuid())


def test_no_login_without_a_password(own_server: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(own_server.url().replace("postgres:", "postgres:no"))


def test_a_port_that_somebody_took_meanwhile_is_given_up(state: Path) -> None:
    server = Postgres(state / "moved")
    server.claim()
    server.data.mkdir()
    (server.data / "PG_VERSION").write_text("18")
    before = server.port
    server.prepare()
    assert server.port == before
    with socket.create_server(("127.0.0.1", before)):
        server.prepare()
    assert server.port != before


def test_ports_are_below_those_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(20)]
    assert max(ports) < 32_000
    assert all(is_free(port) for port in ports)


def test_a_taken_port_names_its_holder_and_the_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=rf"port {port} is taken by .*process {os.getpid()}.*--port \d+"):
            check_port(port)


def test_too_little_room_is_told_before_anything_is_written(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "NEEDS_MB", 10**9)
    server = Postgres(state / "cramped")
    with pytest.raises(NoServer, match=r"MB left and a new PostgreSQL cluster needs .*point SHOP_STATE_DIR at another"):
        server.prepare()
    assert list(server.directory.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_leaves_no_half_cluster(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "NEEDS_MB", 0)
    server = Postgres(small_disk / "postgres")
    with pytest.raises(NoServer, match=r"(?s)No space left on device.*Free some space, or point SHOP_STATE_DIR"):
        server.prepare()
    assert not server.data.exists()
    assert not (server.directory / "making").exists()
