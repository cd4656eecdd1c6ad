"""What it would take to move a module out, on real servers: looked at, and left as it was."""

import json
import re
import threading
import time
from typing import Any

import pytest

from extraction.plan import sizes, source
from extraction.plan.errors import Unknown
from extraction.platform.database import with_login
from tests.extraction.commands import Project, schema
from tests.extraction.conftest import as_owner, connect


def planned(moving: Project, *options: str, watch_s: str = "0") -> dict[str, Any]:
    status, out, err = moving.type("plan", "--json", "--watch-s", watch_s, *options)
    assert status == 0, out + err
    return dict(json.loads(out))


def test_what_moves_is_what_is_there(moving: Project) -> None:
    moves = planned(moving)["moves"]
    rows = {table["name"]: table["rows"] for table in moves["tables"]}
    assert rows == {
        "product": 200,
        "reservation": 100,
        "stock": 40,
        "ticket": 10,
        'Odd "table" %s': 3,
        "movement_2025": 71,
        "movement_2026": 79,
    }
    assert moves["partitioned"] == ["movement"]
    assert sorted(moves["sequences"]) == [
        f"inventory.{name}" for name in ("movement_id_seq", "product_id_seq", "ticket_id_seq")
    ]
    with connect(moving.pair.source) as admin:
        for table in moves["tables"]:
            name = f'inventory."{table["name"].replace(chr(34), chr(34) * 2)}"'
            (size,) = admin.execute("select pg_total_relation_size(%s::regclass)", [name]).fetchone() or (0,)
            assert table["heap_bytes"] + table["index_bytes"] + table["toast_bytes"] == size > 0


def test_rows_are_counted_for_a_time_and_estimated_after_it(moving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(moving.pair.source) as admin:
        admin.execute("analyze inventory.ticket")
        admin.execute("alter table inventory.ticket set (autovacuum_enabled = off)")
    with as_owner(moving.pair.source) as owner:
        owner.execute("insert into ticket select n, n, n from generate_series(1001, 1090) n")
    tables = {one["name"]: one for one in planned(moving)["moves"]["tables"]}
    assert (tables["ticket"]["rows"], tables["ticket"]["is_counted"]) == (100, True)
    monkeypatch.setattr(sizes, "COUNTING_S", 0.0)
    tables = {one["name"]: one for one in planned(moving)["moves"]["tables"]}
    assert (tables["ticket"]["rows"], tables["ticket"]["is_counted"]) == (10, False)
    assert not any(one["is_counted"] for one in tables.values())


def test_it_changes_nothing_and_needs_no_turn(moving: Project) -> None:
    before = schema(moving.pair.source), moving.records()
    planned(moving)
    assert (schema(moving.pair.source), moving.records()) == before


def test_writes_are_counted_while_it_watches_with_the_share_of_the_server(moving: Project) -> None:
    stopped = threading.Event()
    written = [0]

    def write() -> None:
        with as_owner(moving.pair.source) as owner, connect(moving.pair.source) as admin:
            admin.execute("create table public.elsewhere (n int)")
            while not stopped.is_set():
                owner.execute("insert into product (name, price) select 'new', 1 from generate_series(1, 100)")
                owner.execute("select pg_stat_force_next_flush()")
                admin.execute("insert into public.elsewhere select generate_series(1, 300)")
                admin.execute("select pg_stat_force_next_flush()")
                written[0] += 100
                time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        rates = planned(moving, watch_s="2")["rates"]
    finally:
        stopped.set()
        writer.join()
    assert 100 <= rates["rows_seen"] <= written[0]
    assert rates["rows_per_s"] == pytest.approx(rates["rows_seen"] / rates["watched_s"], rel=0.01)
    assert 0.15 < rates["share"] < 0.35, "a quarter of the rows are the module's"
    assert rates["wal_bytes_per_s"] > 1000
    assert rates["commits_per_s"] > 1


def test_the_copy_is_reckoned_from_rows_that_were_read_and_stops_in_time(moving: Project) -> None:
    with as_owner(moving.pair.source) as owner:
        owner.execute("insert into product (name, price) select repeat('é', 50), n from generate_series(1, 100000) n")
    found = planned(moving)["estimates"]
    sample = found["sample"]
    assert (sample["table"], sample["rows"], sample["is_whole"]) == ("product", 100_200, True)
    low, high = found["copy_s"]
    assert sample["seconds"] <= low < high
    assert found["target_bytes"] == planned(moving)["moves"]["bytes"]
    assert found["free_bytes"] > 0, "the server runs on this machine"


def test_a_slot_that_would_be_lost_is_foreseen(moving: Project) -> None:
    def write() -> None:
        with connect(moving.pair.source) as admin:
            for _ in range(30):
                admin.execute("select pg_logical_emit_message(false, '', repeat('x', 1000000))")
                time.sleep(0.05)

    with as_owner(moving.pair.source) as owner, connect(moving.pair.source) as admin:
        owner.execute("insert into product (name, price) select repeat('x', 500), n from generate_series(1, 100000) n")
        for size, says in (("1MB", True), ("1000GB", False)):
            admin.execute(f"alter system set max_slot_wal_keep_size = '{size}'")
            admin.execute("select pg_reload_conf()")
            writer = threading.Thread(target=write)
            writer.start()
            try:
                out = moving.type("plan", "--watch-s", "1")[1]
            finally:
                writer.join()
            assert ("TOO LITTLE" in out) == says, out
        admin.execute("alter system reset max_slot_wal_keep_size")
        admin.execute("select pg_reload_conf()")


def test_an_obstacle_is_told_once_with_what_mends_it(moving: Project) -> None:
    with as_owner(moving.pair.source) as owner:
        owner.execute("create table note (text text)")
    found = [one for one in planned(moving)["obstacles"] if one["code"] == "key"]
    assert len(found) == 1
    assert found[0]["severity"] == "blocks"
    assert planned(moving)["next"].startswith("mend what blocks")
    with as_owner(moving.pair.source) as owner:
        owner.execute(re.search(r"ALTER TABLE [^;]*;", found[0]["mend"])[0])  # type: ignore[index]
    assert not [one for one in planned(moving)["obstacles"] if one["code"] == "key"]


def test_a_target_is_looked_at_where_one_is_given(moving: Project) -> None:
    with connect(moving.pair.target) as admin:
        admin.execute("insert into inventory.ticket values (1, 1, 1)")
    assert "rows" not in {one["code"] for one in planned(moving)["obstacles"]}
    found = planned(moving, "--target-url", moving.pair.target.url)["obstacles"]
    assert "rows" in {one["code"] for one in found}


def test_an_old_transaction_is_named(moving: Project) -> None:
    with as_owner(moving.pair.source) as owner, owner.transaction():
        owner.execute("update ticket set number = number + 1000 where id = 1")
        time.sleep(1.2)
        found = planned(moving)["rates"]["transactions"]
        assert [one["pid"] for one in found if one["role"] == "shop_inventory"] == [owner.info.backend_pid]
        assert found[0]["age_s"] > 1


def test_a_role_that_may_not_read_is_told_the_grants(moving: Project) -> None:
    with connect(moving.pair.source) as admin:
        admin.execute("create role poor login password 'of-tests'")
    try:
        database = moving.pair.source.url.rpartition("/")[2]
        url = with_login(moving.pair.source.url, role="poor", password="of-tests", database=database)
        with connect(moving.pair.source) as admin:
            admin.execute(f"grant connect on database {database} to poor")
            for _ in range(12):  # each plan names what the last grant let it see
                skipped = planned(moving, "--source-url", url)["skipped"]
                grants = re.findall(r"GRANT [^;]*", " ".join(skipped))
                if not grants:
                    break
                for grant in grants:
                    admin.execute(grant)
        document = planned(moving, "--source-url", url)
        assert len(document["moves"]["tables"]) == 7
        assert document["estimates"]["sample"]
        assert [said for said in document["skipped"] if "changes together" not in said] == []
    finally:
        with connect(moving.pair.source) as admin:
            admin.execute("drop owned by poor")
            admin.execute("drop role poor")


def test_without_its_database_the_rest_is_said(moving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    away = "postgresql://postgres:secret-word@127.0.0.1:1/nothing"
    status, out, _ = moving.type("plan", "--source-url", away)
    assert status == 0
    assert "127.0.0.1:1/nothing" in out
    assert "not known: its database was not read" in out
    assert "secret-word" not in out
    assert "Next: bring its database back" in out


def test_a_module_that_has_moved_is_planned_where_it_lives(moving: Project) -> None:
    with connect(moving.pair.source) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("update inventory.inventory_placement set home = 'inventory', epoch = 1")
    out = moving.type("plan")[1]
    assert "it lives in inventory; run there: manage.py extract plan inventory" in out
    assert out.splitlines()[0] == "inventory: has moved"
    assert out.splitlines()[-1] == "Next: in inventory: manage.py extract plan inventory"
    assert "was not read" not in out.splitlines()[1]
    document = planned(moving)
    assert (document["home"], document["verdict"]["reason"]) == ("inventory", "it lives in inventory")


def test_the_alias_of_the_settings_is_used_as_it_is_or_an_address_is_asked_for(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    alias = {"ENGINE": "django.db.backends.postgresql", "NAME": "a b", "USER": "x"}
    for host in ("", "/var/run/postgresql"):
        monkeypatch.setitem(settings.DATABASES, "odd", alias | {"HOST": host})
        with pytest.raises(Unknown, match="--source-url postgresql://"):
            source._url_of_alias("odd")
    given = {"HOST": "db", "OPTIONS": {"sslmode": "verify-full", "pool": True}}
    monkeypatch.setitem(settings.DATABASES, "odd", alias | given)
    assert source._url_of_alias("odd") == "postgresql://x@db:5432/a%20b?sslmode=verify-full"


def test_what_cannot_be_is_refused(moving: Project) -> None:
    assert "'nobody' is no module of this unit" in moving.type("plan", "nobody")[2]
    assert "--watch-s takes seconds" in moving.type("plan", "--watch-s", "nan")[2]


def test_a_person_reads_it_within_a_hundred_columns(moving: Project) -> None:
    out = moving.type("plan", "--watch-s", "0")[1]
    lines = out.splitlines()
    assert lines[0] == "inventory: extract"
    assert lines[-1] == "Next: manage.py extract provision inventory"
    assert [line for line in lines if len(line) > 100] == []
