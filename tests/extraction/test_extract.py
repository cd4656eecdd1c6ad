"""The stages in their order, typed one after another."""

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from extraction.placement.database import Objects
from extraction.replicate.pair import Pair, Side
from tests.extraction.commands import Project, migrated, project, receive
from tests.extraction.conftest import MODULE, SCHEMA, Servers, connect, rows

NEXT = {
    "provision": "replicate",
    "replicate": "verify",
    "verify": "ramp",
    "ramp": "cutover",
    "cutover": "rollback",
    "rollback": "cutover",
}


@pytest.fixture(scope="module")
def template(servers: Servers) -> Iterator[str]:
    with migrated(servers) as name:
        yield name


@pytest.fixture
def moving(pair: Pair, servers: Servers, template: str) -> Iterator[Project]:
    with project(pair, servers, template) as made:
        yield made


def test_a_module_leaves_and_comes_back(moving: Project) -> None:
    done = {stage: moving.do(stage) for stage in NEXT}

    for stage, document in done.items():
        assert (document["outcome"], document["next"]) == ("done", f"manage.py extract {NEXT[stage]} inventory")
    assert done["replicate"]["evidence"].keys() >= {"rows", "seconds", "rows_per_s", "lag_bytes"}
    assert done["verify"]["evidence"]["equal"]
    assert {table["table"] for table in done["verify"]["evidence"]["tables"]} >= {"product", "stock"}
    assert [step["percent"] for step in done["ramp"]["evidence"]["steps"]] == [1, 10, 50, 100]
    assert all(step["attempts"] and not step["failed"] for step in done["ramp"]["evidence"]["steps"])
    for stage, units, epoch in (
        ("cutover", ("monolith", "inventory"), 1),
        ("rollback", ("inventory", "monolith"), 2),
    ):
        switch = done[stage]["evidence"]
        assert (switch["from_unit"], switch["to_unit"], switch["epoch"]) == (*units, epoch)
        assert 0 < switch["lock_to_commit_ms"] <= switch["lock_to_open_ms"]
        assert switch["began_at"] < switch["opened_at"]
    assert moving.routed() == [
        *("monolith 1", "monolith 10", "monolith 50", "monolith 100"),
        "inventory 0",
        "monolith 0",
    ]


def test_writes_are_taken_where_the_module_lives(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp", "cutover")
    receive(moving.pair, "inventory")
    with pytest.raises(psycopg.Error, match="lives in inventory"):
        receive(moving.pair, "monolith")

    moving.do("rollback")
    receive(moving.pair, "monolith")
    assert len(rows(moving.pair.source, "product")) == 202

    assert moving.do("cutover")["evidence"]["epoch"] == 3, "streams are alive: at once, without a new ramp"
    receive(moving.pair, "inventory")
    assert moving.do("verify")["evidence"]["equal"]


def test_what_is_done_is_not_done_again(moving: Project) -> None:
    for stage in ("provision", "replicate", "ramp", "cutover", "rollback"):
        if stage == "ramp":
            moving.do("verify")
        moving.do(stage)
        before = moving.routed(), _places(moving.pair)
        assert moving.do(stage)["outcome"] == "already"
        assert (moving.routed(), _places(moving.pair)) == before


@pytest.mark.parametrize(
    ("done", "stage", "next_stage"),
    [
        ((), "replicate", "provision"),
        ((), "verify", "provision"),
        ((), "ramp", "provision"),
        ((), "cutover", "provision"),
        ((), "rollback", "provision"),
        ((), "abort", "provision"),
        (("provision",), "verify", "replicate"),
        (("provision",), "cutover", "replicate"),
        (("provision", "replicate"), "ramp", "verify"),
        (("provision", "replicate"), "rollback", "abort"),
        (("provision", "replicate", "verify"), "cutover", "ramp"),
        (("provision", "replicate", "verify", "ramp", "cutover"), "ramp", "rollback"),
        (("provision", "replicate", "verify", "ramp", "cutover"), "abort", "rollback"),
    ],
)
def test_refuses_what_is_out_of_order(moving: Project, done: tuple[str, ...], stage: str, next_stage: str) -> None:
    moving.do(*done)
    before = moving.routed(), _places(moving.pair)

    assert moving.refused(stage).endswith(f"next: manage.py extract {next_stage} inventory")

    assert (moving.routed(), _places(moving.pair)) == before
    last = moving.records()[-1]
    assert (last["stage"], last["what"], bool(last["evidence"]["reason"])) == (stage, "refused", True)


def test_a_gate_is_opened_with_a_reason_that_is_kept(moving: Project) -> None:
    moving.do("provision", "replicate")
    moving.refused("cutover")

    status, out, err = moving.type("cutover", "--override", "the old server burns", "--json")

    assert status == 0, err
    assert json.loads(out)["evidence"]["to_unit"] == "inventory"
    (kept,) = [record for record in moving.records() if record["what"] == "overridden"]
    assert kept["evidence"]["reason"] == "the old server burns"
    assert len(kept["evidence"]["gates"]) == 2


def test_an_override_does_not_open_what_is_impossible(moving: Project) -> None:
    moving.do("provision")
    assert "manage.py extract replicate" in moving.refused("cutover", "--override", "quick")


def test_differences_are_named_and_stop_the_way(moving: Project) -> None:
    moving.do("provision", "replicate")
    with connect(moving.pair.target) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("update inventory.product set price = 0 where id = 7")

    status, out, err = moving.type("verify", "--json")

    assert status == 1
    (table,) = [table for table in json.loads(out)["evidence"]["tables"] if table["differences"]]
    assert (table["table"], table["differences"][0]["key"], table["differences"][0]["columns"]) == (
        *("product", {"id": "7"}),
        ["price"],
    )
    assert "id = 7: price" in err
    assert "not verified" in moving.refused("ramp")


def test_failed_reads_bring_all_reads_home(moving: Project) -> None:
    moving.do("provision", "replicate", "verify")

    message = moving.refused("ramp", "--hold-s", "1", TEST_FAILS_FROM_PERCENT="50")

    assert "at 50 %" in message
    assert moving.routed() == ["monolith 1", "monolith 10", "monolith 50", "monolith 0"]
    assert moving.status()["reads_percent"] == 0
    assert moving.refused("cutover").endswith("next: manage.py extract ramp inventory")
    assert moving.do("ramp")["outcome"] == "done"


def test_failed_reads_may_be_allowed(moving: Project) -> None:
    moving.do("provision", "replicate", "verify")
    status, out, _ = moving.type(
        "ramp", "--hold-s", "0", "--max-failed", "1000", "--json", TEST_FAILS_FROM_PERCENT="50"
    )
    assert status == 0
    assert json.loads(out)["evidence"]["steps"][-1]["failed"] > 0


def test_the_way_back_from_a_ramp(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    assert moving.do("rollback")["next"] == "manage.py extract ramp inventory"
    assert moving.routed()[-1] == "monolith 0"
    assert moving.refused("cutover").endswith("next: manage.py extract ramp inventory")


def test_a_table_made_since_is_copied_by_replicating_again(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    for side in (moving.pair.source, moving.pair.target):
        with connect(side) as admin:
            admin.execute("set role shop_inventory; create table inventory.parcel (id int primary key)")
    with connect(moving.pair.source) as admin:
        admin.execute("insert into inventory.parcel values (1)")
    assert "parcel" in moving.refused("cutover")

    moving.do("replicate", "cutover")

    assert rows(moving.pair.target, "parcel") == [(1,)]


@pytest.mark.parametrize("stage", ["provision", "replicate", "verify", "ramp", "cutover", "rollback", "abort"])
def test_a_dry_run_changes_nothing(moving: Project, stage: str) -> None:
    before_it = {
        "abort": ("provision", "replicate"),
        **{stage: list(NEXT)[: list(NEXT).index(stage)] for stage in NEXT},
    }
    moving.do(*before_it[stage])
    before = _everything(moving)

    status, out, err = moving.type(stage, "--dry-run")

    assert status == 0, err
    assert "Would be done: " in out
    assert _everything(moving) == before


def test_an_unknown_module_is_answered_with_those_that_are_there(moving: Project) -> None:
    status, _, err = moving.type("status", "warehouse")
    assert (status, "billing, inventory" in err) == (1, True)


def test_status_of_all(moving: Project) -> None:
    moving.do("provision")
    status, out, _ = moving.type("status", "--json")
    assert status == 0
    assert {one["module"]: one["stage"] for one in json.loads(out)["modules"]} == {
        "billing": "",
        "inventory": "provision",
    }


def test_status_shows_both_sides(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp", "cutover")
    now = moving.status()
    assert (now["stage"], now["home"], now["epoch"], now["reads_percent"]) == ("cutover", "inventory", 1, 100)
    assert [(side["unit"], side["home"], side["epoch"]) for side in now["sides"]] == [
        ("monolith", "inventory", 1),
        ("inventory", "inventory", 1),
    ]
    assert now["next"] == "manage.py extract rollback inventory"
    assert now["problems"] == []


def test_status_while_a_server_is_away(moving: Project, servers: Servers) -> None:
    moving.do("provision", "replicate")
    servers.target.stop()
    try:
        now = moving.status()
    finally:
        servers.target.start()
    assert now["home"] == "monolith"
    assert any("inventory" in problem for problem in now["problems"])
    assert "postgres:" not in json.dumps(now), "a password"


def test_the_record_cannot_be_changed(moving: Project) -> None:
    moving.do("provision")
    for statement in (
        "update extraction_record set who = 'nobody'",
        "delete from extraction_record",
        "truncate extraction_record",
    ):
        with psycopg.connect(moving.records_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_record_says_who_did_what(moving: Project) -> None:
    moving.do("provision")
    kept = [(record["stage"], record["what"]) for record in moving.records()]
    assert kept == [("provision", "began"), *[("provision", "step")] * 3, ("provision", "done")]
    assert all("@" in record["who"] and record["migration_id"] for record in moving.records())
    assert moving.pair.source.url not in json.dumps([record["evidence"] for record in moving.records()])


def test_without_json_the_output_is_for_people(moving: Project) -> None:
    status, out, _ = moving.type("provision")
    assert status == 0
    assert "  Checking both databases… OK (" in out
    assert out.endswith("Provision of inventory is done.\nNext: manage.py extract replicate inventory\n")


def _places(pair: Pair) -> list[Any]:
    return [_place(side) for side in (pair.source, pair.target)]


def _place(side: Side) -> Any:
    with connect(side) as admin:
        return admin.execute(Objects(MODULE, SCHEMA).query("read")).fetchone()


def _everything(moving: Project) -> dict[str, Any]:
    made = "select count(*) from pg_trigger union all select count(*) from pg_publication union all "
    made += "select count(*) from pg_replication_slots union all select count(*) from pg_subscription union all "
    made += "select count(*) from pg_roles"
    counts = []
    for side in (moving.pair.source, moving.pair.target):
        with connect(side) as admin:
            counts.append(admin.execute(made).fetchall())
    with psycopg.connect(moving.records_url) as connection:
        migrations = connection.execute("select * from extraction_migration").fetchall()
    return {
        "routed": moving.routed(),
        "places": _places(moving.pair),
        "counts": counts,
        "records": moving.records(),
        "migrations": migrations,
    }
