"""The stages in their order, typed one after another."""

import json
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connections, transaction

from extraction.models import Migration, Record
from extraction.placement.database import Objects
from extraction.replicate.pair import Pair, Side
from tests.extraction.commands import Project, made, receive, schema
from tests.extraction.conftest import MODULE, SCHEMA, Servers, connect, lose, rows, wait_for
from tests.extraction.two_servers import EXTRACTION

NEXT = {
    "provision": "replicate",
    "replicate": "verify",
    "verify": "ramp",
    "ramp": "cutover",
    "cutover": "rollback",
    "rollback": "cutover",
}


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
    assert moving.routes()["candidate"] == "monolith", "which is fed, and answers reads when the new home cannot"
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


OUT_OF_ORDER = {
    "": {
        "replicate": "provision",
        "verify": "provision",
        "ramp": "provision",
        "cutover": "provision",
        "rollback": "provision",
        "abort": "provision",
    },
    "provision": {"verify": "replicate", "ramp": "replicate", "cutover": "replicate", "rollback": "replicate"},
    "replicate": {"ramp": "verify", "cutover": "verify", "rollback": "abort"},
    "verify": {"cutover": "ramp", "rollback": "abort"},
    "cutover": {"ramp": "rollback", "abort": "rollback"},
}
"""After the stage: what is refused, and what is named to be typed instead."""


def test_refuses_what_is_out_of_order(moving: Project) -> None:
    for done in ("", "provision", "replicate", "verify", "ramp", "cutover"):
        moving.do(*[done] if done else [])
        for stage, next_stage in OUT_OF_ORDER.get(done, {}).items():
            before = moving.routed(), _places(moving.pair)

            message = moving.refused(stage)

            assert message.endswith(f"next: manage.py extract {next_stage} inventory"), (done, stage)
            assert (moving.routed(), _places(moving.pair)) == before
            last = moving.records()[-1]
            assert (last.stage, last.what, bool(last.evidence["reason"])) == (stage, "refused", True)


def test_a_gate_is_opened_with_a_reason_that_is_kept(moving: Project) -> None:
    moving.do("provision", "replicate")
    moving.refused("cutover")

    status, out, err = moving.type("cutover", "--override", "the old server burns", "--json")

    assert status == 0, err
    assert json.loads(out)["evidence"]["to_unit"] == "inventory"
    (kept,) = [record for record in moving.records() if record.what == "overridden"]
    assert kept.evidence["reason"] == "the old server burns"
    assert len(kept.evidence["gates"]) == 2


def test_an_override_does_not_open_what_is_impossible(moving: Project) -> None:
    moving.do("provision")
    assert "manage.py extract replicate" in moving.refused("cutover", "--override", "quick")


def test_differences_are_named_and_stop_the_way(moving: Project) -> None:
    moving.do("provision", "replicate")
    with connect(moving.pair.target) as admin:
        # As something that came by replication, or it would travel to the other side and make both equal.
        admin.execute("select pg_replication_origin_create('test'), pg_replication_origin_session_setup('test')")
        admin.execute("set session_replication_role = replica")
        admin.execute("update inventory.product set price = 0 where id = 7")
        admin.execute("select pg_replication_origin_session_reset(), pg_replication_origin_drop('test')")

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


def test_a_ramp_that_nobody_reads_shows_nothing(moving: Project) -> None:
    moving.do("provision", "replicate", "verify")

    message = moving.refused("ramp", "--hold-s", "0", TEST_NOBODY_READS="1")

    assert "nobody read inventory" in message
    assert moving.refused("cutover").endswith("next: manage.py extract ramp inventory")
    assert moving.type("ramp", "--hold-s", "0", "--override", "a dry exercise", TEST_NOBODY_READS="1")[0] == 0


def test_the_way_back_from_a_ramp(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    assert moving.do("rollback")["next"] == "manage.py extract ramp inventory"
    assert moving.routed()[-1] == "monolith 0"
    assert moving.refused("cutover").endswith("next: manage.py extract ramp inventory")


def test_an_abort_leaves_nothing_from_any_stage(moving: Project) -> None:
    before = schema(moving.pair.source), made(moving.pair)
    for last in ("provision", "replicate", "verify", "ramp", "rollback"):
        moving.do(*list(NEXT)[: list(NEXT).index(last) + 1], "abort")

        assert (schema(moving.pair.source), made(moving.pair)) == before, last
        receive(moving.pair, "monolith")
        assert moving.status()["next"] == "manage.py extract provision inventory"


def test_an_abort_goes_on_when_the_target_is_gone_already(moving: Project) -> None:
    moving.do("provision", "replicate")
    moving.refused("abort", TEST_RETIRE_BREAKS="1")
    moving.do("abort")
    moving.do("provision", "replicate")


def test_an_abort_without_the_target(moving: Project, servers: Servers) -> None:
    before = made(moving.pair)
    moving.do("provision", "replicate")
    servers.target.stop(how="crash")
    try:
        assert "retire" not in moving.refused("abort"), "its platform cannot drop a database of a server that is away"
        assert made(moving.pair) == before
        receive(moving.pair, "monolith")
    finally:
        servers.target.start()
    moving.do("abort")
    assert moving.status()["migration"] == ""


def test_what_stands_in_the_way_is_named_before_anything_is_made(moving: Project) -> None:
    with connect(moving.pair.source) as admin:
        admin.execute("create table inventory.keyless (n int)")

    status, out, err = moving.type("provision", "--json")

    assert status == 1
    assert "REPLICA IDENTITY FULL" in err
    assert "key" in [obstacle["code"] for obstacle in json.loads(out)["evidence"]["obstacles"]]
    assert moving.status()["migration"] == ""
    with connect(moving.pair.source) as admin:
        admin.execute("drop table inventory.keyless")
    moving.do("provision")


def test_nothing_changes_while_the_target_is_away(moving: Project, servers: Servers) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    servers.target.stop(how="crash")
    try:
        assert moving.refused("cutover").endswith("then run: manage.py extract cutover inventory")
        receive(moving.pair, "monolith")
        assert moving.routed()[-1] == "monolith 100"
    finally:
        servers.target.start()
    assert moving.do("replicate", "cutover")["evidence"]["epoch"] == 1, "replicate waits until both follow again"
    assert len(rows(moving.pair.target, "product")) == 201


def test_a_table_made_since_is_copied_by_replicating_again(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    for side in (moving.pair.source, moving.pair.target):
        with connect(side) as admin:
            admin.execute(f"set extraction.ddl = '{moving.status()['migration']}'")
            admin.execute("set role shop_inventory; create table inventory.parcel (id int primary key)")
    with connect(moving.pair.source) as admin:
        admin.execute("insert into inventory.parcel values (1)")
    assert "parcel" in moving.refused("cutover")

    assert any("parcel" in problem for problem in moving.status()["problems"])
    assert moving.status()["next"] == "manage.py extract replicate inventory"

    moving.do("replicate")
    assert moving.refused("cutover").endswith("next: manage.py extract verify inventory"), "nobody compared it"
    assert moving.status()["next"] == "manage.py extract verify inventory"
    moving.do("verify", "cutover")

    assert rows(moving.pair.target, "parcel") == [(1,)]


def test_migrations_applied_after_the_comparison_ask_for_another(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    for side in (moving.pair.source, moving.pair.target):
        with connect(side) as admin:
            admin.execute("create table inventory.django_migrations (app text, applied timestamptz not null)")
            admin.execute("insert into inventory.django_migrations values ('inventory', now())")
            admin.execute(f"set extraction.ddl = '{moving.status()['migration']}'")
            admin.execute("alter table inventory.product add column token uuid default gen_random_uuid()")

    message = moving.refused("cutover")

    assert "migrated in monolith and inventory since it was verified" in message
    assert message.endswith("next: manage.py extract verify inventory")
    assert "product of inventory differ" in moving.refused("verify")


def test_migrations_of_other_apps_ask_for_no_comparison(moving: Project, settings: Any) -> None:
    given: Any = EXTRACTION
    inventory = given["modules"][MODULE] | {"apps": ["modules.inventory"]}
    settings.EXTRACTION = given | {"modules": given["modules"] | {MODULE: inventory}}
    moving.do("provision", "replicate", "verify", "ramp")
    with connect(moving.pair.source) as admin:
        for schema_name in ("inventory", "public"):
            admin.execute(f"create table {schema_name}.django_migrations (app text, applied timestamptz not null)")
            admin.execute(f"insert into {schema_name}.django_migrations values ('ordering', now())")
        moving.do("cutover", "rollback")
        admin.execute("insert into public.django_migrations values ('inventory', now())")
    assert "migrated in monolith since it was verified" in moving.refused("cutover")


def test_what_a_server_refuses_is_told_and_recorded_without_the_rows_it_names(moving: Project) -> None:
    with connect(moving.pair.target) as admin:
        admin.execute("""create function public.no() returns event_trigger language plpgsql as
                         $$ begin raise exception 'not here' using detail = 'Key (card)=(4711) exists.'; end $$""")
        admin.execute("create event trigger no on ddl_command_start execute function public.no()")

    message = moving.refused("provision")

    assert message.endswith("RaiseException: not here; see where it stands: manage.py extract status inventory")
    last = moving.records()[-1]
    assert (last.what, last.evidence["error"]) == ("failed", "RaiseException")
    assert "4711" not in json.dumps([record.evidence for record in moving.records()])


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_a_gate_that_a_server_refuses_to_answer_is_told(moving: Project, options: tuple[str, ...]) -> None:
    moving.do("provision", "replicate", "verify")
    with connect(moving.pair.source) as admin:
        admin.execute("create table inventory.django_migrations (app text)")
    told = moving.refused("ramp", *options)
    assert 'UndefinedColumn: column "applied" does not exist' in told
    assert told.endswith("see where it stands: manage.py extract status inventory")
    assert (moving.records()[-1].what == "refused") == (not options)


def test_status_names_what_the_streams_lack_and_what_mends_it(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    assert moving.status()["problems"] == []
    with connect(moving.pair.target) as admin:
        admin.execute(f"set extraction.ddl = '{moving.status()['migration']}'")
        admin.execute("alter table inventory.stock disable trigger inventory_fence")
    now = moving.status()
    assert now["problems"] == ["inventory: table stock has no fence"]
    assert now["next"] == "manage.py extract replicate inventory"
    moving.do("replicate")
    assert moving.status()["problems"] == []


def test_status_names_a_slot_that_is_lost_and_the_way_out(moving: Project, servers: Servers) -> None:
    moving.do("provision", "replicate", "verify")
    servers.target.stop()
    try:
        with connect(moving.pair.source) as admin:
            lose(admin, f"inventory_{moving.status()['migration']}_out")
    finally:
        servers.target.start()
    now = moving.status()
    assert any("has lost what the other side still needs" in problem for problem in now["problems"])
    assert now["next"] == "manage.py extract abort inventory"
    assert "extract abort inventory" in moving.refused("replicate")
    moving.do("abort", "provision", "replicate")


def test_behind_is_the_side_that_is_not_home(moving: Project, servers: Servers) -> None:
    moving.do("provision", "replicate", "verify", "ramp", "cutover")
    migration = moving.status()["migration"]
    with connect(moving.pair.source) as admin:
        admin.execute(f"alter subscription inventory_{migration}_back disable")
        wait_for(lambda: not admin.execute("select from pg_stat_subscription where pid is not null").fetchone())
    with connect(moving.pair.target) as admin:
        admin.execute(
            "insert into inventory.product (name, price) select md5(random()::text), 1 from generate_series(1, 1000)"
        )
    assert moving.status()["lag_bytes"] > 50_000


def test_a_ramp_that_was_taken_back_is_what_comes_next(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp", "rollback", "ramp")
    Migration.objects.update(reads_percent=10)
    assert moving.status()["next"] == "manage.py extract ramp inventory"


def test_a_dry_run_changes_nothing(moving: Project) -> None:
    for stage in (*NEXT, "abort"):
        before = _everything(moving)

        status, out, err = moving.type(stage, "--dry-run")

        assert status == 0, err
        assert "Would be done: " in out
        assert _everything(moving) == before, stage
        moving.do(stage)


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
    connections["default"].check_constraints()  # which are checked at the end of a transaction, and keep TRUNCATE away
    for change in (
        lambda: Record.objects.update(who="nobody"),
        lambda: Record.objects.all().delete(),
        lambda: connections["default"].cursor().execute("truncate extraction_record"),
    ):
        with pytest.raises(ProgrammingError, match="never changed"), transaction.atomic():
            change()


def test_a_record_says_who_did_what(moving: Project) -> None:
    moving.do("provision")
    kept = moving.records()
    assert [(record.stage, record.what) for record in kept] == [
        ("provision", what) for what in ("began", "step", "step", "step", "done")
    ]
    assert all("@" in record.who and record.migration for record in kept)
    assert moving.pair.source.url not in json.dumps([record.evidence for record in kept])


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
    return {
        "routed": moving.routed(),
        "places": _places(moving.pair),
        "made": made(moving.pair),
        "schema": schema(moving.pair.source),
        "records": list(Record.objects.values()),
        "migrations": list(Migration.objects.values()),
    }
