"""What stands in the way is named with what mends it; with that done, it is gone."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection as django_connection
from psycopg import sql

from extraction.platform.database import with_database
from extraction.project import modules
from extraction.queries import Queries
from extraction.replicate.obstacles import activity
from extraction.replicate.obstacles.kinds import KINDS, Obstacle
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import obstacles, unfit_tables
from extraction.replicate.stream import prepare, start
from tests.embedded import ADMIN_URL, MODULES
from tests.extraction.commands import project
from tests.extraction.conftest import Servers, as_owner, connect, wait_for
from tests.extraction.two_servers import EXTRACTION

TESTED_IN = ("prechecks", "prechecks_of_servers", "privileges")
DOCUMENT = Path(__file__).parents[2] / "docs" / "obstacles.md"
ROUND = (
    "create function inventory.f() returns trigger language plpgsql as 'begin return new; end';"
    "create trigger t before insert on inventory.ticket for each row execute function inventory.f();"
    "alter table inventory.ticket enable always trigger t"
)
MOOD = "create type inventory.mood as enum ({}); alter table inventory.ticket add column mood inventory.mood"
NOTE = "create table inventory.note (id int, text text); alter table inventory.note replica identity full;"


@dataclass(frozen=True)
class Case:
    """An obstacle on one side or both. `undo` is what to do where the mend is no SQL."""

    code: str
    source: str = ""
    target: str = ""
    undo: str = ""
    undo_target: str = ""
    only: tuple[str, ...] = ()


BOTH_HAVE_MOOD = "alter table inventory.ticket drop column mood"
CASES = [
    Case("key", "create table inventory.note (text text)"),
    Case("key", "alter table inventory.stock replica identity nothing"),
    Case("key", "create table inventory.note (id int primary key deferrable)"),
    Case("key", "create table inventory.note (id int not null unique)"),
    Case(
        "key",
        "create table inventory.note (id int not null); create unique index i on inventory.note (id);"
        "alter table inventory.note replica identity using index i; drop index inventory.i",
    ),
    Case("key", """create table inventory."a 'b' {c} %" ("d {e} %" int)"""),
    Case("key_full", NOTE + "insert into inventory.note values (1, 'a')"),
    Case(
        "generated",
        "create table inventory.note (id int, twice int generated always as (2 * id) stored);"
        "alter table inventory.note replica identity full",
        undo="alter table inventory.note drop column twice",
    ),
    Case(
        "generated",
        "create table inventory.note (id int, twice int generated always as (2 * id) stored primary key)",
        undo="alter table inventory.note drop column twice",
    ),
    Case(
        "generated_column",
        "alter table inventory.ticket add column twice int generated always as (2 * number) stored",
        undo="alter table inventory.ticket drop column twice",
    ),
    Case(
        "generated_column",
        "alter table inventory.ticket add column twice int generated always as (2 * number) virtual",
        undo="alter table inventory.ticket drop column twice",
    ),
    Case(
        "incomparable",
        "create table inventory.note (at point); alter table inventory.note replica identity full",
        undo="drop table inventory.note",
    ),
    Case("unlogged", "alter table inventory.ticket set unlogged"),
    Case("row_security", "alter table inventory.ticket enable row level security"),
    Case("row_security", "alter table inventory.ticket enable row level security, force row level security"),
    Case(
        "columns",
        "alter table inventory.ticket add column note text",
        undo_target="alter table inventory.ticket add column note text",
    ),
    Case(
        "columns",
        "alter table inventory.movement alter column quantity type bigint",
        undo="alter table inventory.movement alter column quantity type int",
    ),
    Case(
        "columns",
        target="alter table inventory.product alter column attributes drop not null",
        undo_target="alter table inventory.product alter column attributes set not null",
    ),
    Case("tables", "create table inventory.extra (id int primary key)", undo="drop table inventory.extra"),
    Case(
        "tables",
        "create table inventory.movement_2027 partition of inventory.movement default",
        undo_target="create table inventory.movement_2027 partition of inventory.movement default",
    ),
    Case(
        "constraints",
        target="alter table inventory.ticket add check (number < 1000)",
        undo_target="alter table inventory.ticket drop constraint ticket_number_check",
    ),
    Case(
        "constraints",
        "create unique index one_name on inventory.product (name) where price > 1",
        undo="drop index inventory.one_name",
    ),
    Case("foreign_key", "create table public.other (id int primary key references inventory.ticket on delete cascade)"),
    Case("foreign_key_target", target="create table public.other (id int primary key references inventory.ticket)"),
    Case("foreign_key", only=("stock",)),
    Case("bypass", "create role strong superuser; alter table inventory.ticket owner to strong"),
    Case("trigger", ROUND),
    Case("rule", "create rule quiet as on insert to inventory.ticket where new.number < 0 do instead nothing"),
    Case(
        "large_object",
        "alter table inventory.ticket add column scan oid; update inventory.ticket set scan = lo_from_bytea(0, 'x')",
    ),
    Case(
        "partition_foreign",
        "create foreign data wrapper f; create server s foreign data wrapper f;"
        "create table inventory.log (at int) partition by range (at);"
        "create foreign table inventory.log_2027 partition of inventory.log default server s",
    ),
    Case("parent", "create schema other; create table other.movement_2027 partition of inventory.movement default"),
    Case("parent", "create table public.parent (); alter table inventory.ticket inherit public.parent"),
    Case(
        "parent",
        "create table inventory.parent (); alter table inventory.ticket inherit inventory.parent",
        only=("ticket",),
    ),
    Case("view", "create view public.tickets as select * from inventory.ticket"),
    Case("view", "create materialized view public.tickets as select * from inventory.ticket"),
    Case("view", "create table public.other (id int); create view inventory.others as select * from public.other"),
    Case("view", "create view inventory.tickets as select * from inventory.ticket", only=("ticket",)),
    Case(
        "function",
        "create function public.tickets() returns bigint begin atomic select count(*) from inventory.ticket; end",
    ),
    Case(
        "function_names",
        """create function public.tickets() returns bigint language plpgsql as
           'begin return (select count(*) from inventory.ticket); end'""",
        undo="drop function public.tickets",
    ),
    Case(
        "sequence_owner",
        "create sequence public.numbers;"
        "alter table inventory.ticket alter column number set default nextval('public.numbers')",
    ),
    Case(
        "sequence_owner",
        "alter sequence inventory.ticket_id_seq owned by none",
        only=("ticket",),
    ),
    Case(
        "sequence_shared",
        "create table public.other (id int default nextval('inventory.ticket_id_seq'))",
        undo="alter table public.other alter column id drop default",
    ),
    Case("sequence_cache", "alter sequence inventory.ticket_id_seq cache 10"),
    Case("sequence_end", "select setval('inventory.ticket_id_seq', 30000)"),
    Case("sequence_end", "alter sequence inventory.product_id_seq maxvalue 205"),
    Case("publication", "create publication foreign_one for all tables"),
    Case("publication", "create publication foreign_one for table inventory.ticket, inventory.stock"),
    Case("publication", target="create publication foreign_one for tables in schema inventory"),
    Case("enum", MOOD.format("'good', 'fair', 'bad'"), MOOD.format("'good', 'bad'")),
    Case("enum", MOOD.format("'good', 'fair'"), MOOD.format("'fair', 'worst'")),
    Case(
        "enum_order",
        MOOD.format("'good', 'bad'"),
        MOOD.format("'bad', 'good'"),
        undo=BOTH_HAVE_MOOD,
        undo_target=BOTH_HAVE_MOOD,
    ),
    Case(
        "type",
        "create domain inventory.mood as int check (value > 0); alter table inventory.ticket add mood inventory.mood[]",
        "create domain inventory.mood as int check (value > 9); alter table inventory.ticket add mood inventory.mood[]",
        undo_target="drop domain inventory.mood cascade",
    ),
    Case(
        "type",
        "create type inventory.mood as (a int); alter table inventory.ticket add mood inventory.mood",
        "create type inventory.mood as (a int, b text); alter table inventory.ticket add mood inventory.mood",
        undo_target="alter type inventory.mood drop attribute b",
    ),
    Case("extension", "create extension vector; alter table inventory.ticket add column place vector(3)"),
    Case(
        "collation_version",
        "update pg_database set datcollversion = '0' where datname = current_database()",
    ),
    Case("isolation", "alter role shop_inventory set default_transaction_isolation = 'serializable'"),
    Case(
        "isolation",
        "do $$ begin execute format('alter database %I set default_transaction_isolation = ''repeatable read''', "
        "current_database()); end $$",
    ),
    Case(
        "isolation",
        "do $$ begin execute format('alter role shop_inventory in database %I set default_transaction_isolation = "
        "''repeatable read''', current_database()); end $$",
    ),
    Case(
        "read_only",
        target="do $$ begin execute format('alter database %I set default_transaction_read_only = on', "
        "current_database()); end $$",
    ),
    Case("slot_keep_size", "alter system set max_slot_wal_keep_size = '100MB'"),
    Case("rows", target="insert into inventory.ticket values (1, 1, 1)"),
    Case(
        "migrations",
        "create table inventory.django_migrations (app text, name text);"
        "insert into inventory.django_migrations values ('inventory', '0001'), ('inventory', '0002'), ('other', '1')",
        "create table inventory.django_migrations (app text, name text);"
        "insert into inventory.django_migrations values ('inventory', '0001')",
        undo_target="insert into inventory.django_migrations values ('inventory', '0002')",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.code)
def test_each_is_named_and_what_mends_it_mends_it(pair: Pair, case: Case) -> None:
    pair = replace(pair, only=case.only)
    if not case.only:
        assert urgent(pair) == []
    for side, statement in ((pair.source, case.source), (pair.target, case.target)):
        if statement:
            run(side, statement, "select pg_reload_conf()")
    try:
        found = wait_for(lambda: named(pair, case.code))
        for each in found:
            if each.is_sql:
                run(pair.side(each.unit), *each.mend.split("; "))
        run(pair.source, case.undo)
        run(pair.target, case.undo_target)
        wait_for(lambda: not named(pair, case.code))
    finally:
        tidy(pair)


def test_a_new_pair_has_none(pair: Pair) -> None:
    assert obstacles(pair) == []


def test_of_a_target_that_is_not_there_nothing_is_asked(pair: Pair) -> None:
    alone = replace(pair, target=Side(pair.target.unit, ""))
    assert obstacles(alone) == []
    run(pair.source, "alter table inventory.stock set unlogged")
    assert codes(alone) == ["unlogged"]


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.django_db
def test_a_new_module_of_the_shop_has_none(module: str) -> None:
    url = with_database(os.environ[ADMIN_URL], str(django_connection.settings_dict["NAME"]))
    source = Side(modules()[module].home, url)
    pair = Pair("none", module, modules()[module].schema, source, Side(module, ""))
    assert urgent(pair) == []


def test_two_databases_of_one_server_are_said_to_be(pair_on_one_server: Pair) -> None:
    assert [(each.code, each.severity) for each in obstacles(pair_on_one_server)] == [("same_server", "note")]


def test_a_replicated_pair_is_in_its_own_way_nowhere(pair: Pair) -> None:
    prepare(pair)
    start(pair)
    wait_for(lambda: urgent(pair) == [])


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


def test_a_stream_of_somebody_else_is_named_until_it_is_dropped(pair: Pair) -> None:
    run(pair.source, "create publication foreign_one for table inventory.stock")
    statement = sql.SQL(
        "create subscription foreign_one connection {} publication foreign_one "
        "with (slot_name = {}, enabled = false, copy_data = false)"
    ).format(sql.Literal(pair.source.url), sql.Literal(f"foreign_{pair.id}"))
    with connect(pair.target) as admin:
        admin.execute(statement)
    assert "subscription" in [each.code for each in unfit_tables(pair)]
    (found,) = named(pair, "subscription")
    run(pair.target, found.mend)
    assert named(pair, "subscription") == []


def test_who_writes_for_long_anywhere_in_the_server_is_named(
    pair: Pair, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "LONG_S", 0.1)
    with psycopg.connect(servers.source.postgres.url()) as other:
        other.execute("select pg_current_xact_id()")
        (found,) = wait_for(lambda: named(pair, "transaction"))
        assert str(other.info.backend_pid) in found.what
        assert "postgres" in found.what
        run(pair.source, found.mend)
        wait_for(lambda: not named(pair, "transaction"))
        other.close()


def test_a_slot_that_nobody_reads_is_named_with_what_it_holds(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "HELD_BYTES", 0)
    run(pair.source, "select pg_create_physical_replication_slot('forgotten', true)")
    run(pair.source, "select pg_logical_emit_message(false, '', repeat('x', 2000000))")
    mend = "select pg_drop_replication_slot('forgotten')"
    try:
        (found,) = named(pair, "slot_holds_wal")
        mend = found.mend
        held = re.search(r"holds (\d+) MB", found.what)
        assert held is not None
        assert int(held[1]) >= 2
        assert "standby" in codes(pair)
    finally:
        run(pair.source, mend)
    assert codes(pair) == []


def test_both_databases_have_one_encoding_and_one_order_of_texts(pair: Pair, servers: Servers) -> None:
    name = f"{pair.id}_latin"
    make = sql.SQL(
        "create database {} encoding {} template template0 locale_provider builtin locale 'C' builtin_locale {}"
    )
    with psycopg.connect(servers.target.postgres.url(), autocommit=True) as admin:
        for encoding, locale, expected in (("LATIN1", "C", {"encoding", "collation"}), ("UTF8", "C.UTF-8", set())):
            admin.execute(make.format(sql.Identifier(name), sql.Literal(encoding), sql.Literal(locale)))
            try:
                other = replace(pair, target=Side("inventory", servers.target.postgres.url(name)))
                with connect(other.target) as owner:
                    owner.execute("create schema inventory authorization shop_inventory")
                    owner.execute("set role shop_inventory; set search_path = inventory")
                    owner.execute(Queries(Path(__file__).with_name("tables.sql"))("tables"))
                    other.objects.install(owner, unit="inventory", home="monolith")
                assert set(codes(other)) == expected
            finally:
                admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def test_what_is_to_be_decided_is_refused_until_it_is_accepted(pair: Pair, db: None, settings: Any) -> None:
    settings.EXTRACTION = EXTRACTION
    run(pair.source, "create table public.other (id int primary key references inventory.ticket on delete cascade)")
    with project(pair) as moving:
        refusal = moving.refused("provision")
        assert "ALTER TABLE other DROP CONSTRAINT" in refusal
        assert 'provision inventory --override "reason"' in refusal
        run(pair.source, "alter table inventory.stock set unlogged")
        assert "[unlogged]" in moving.refused("provision", "--override", "the table goes next month")
        run(pair.source, "alter table inventory.stock set logged")
        assert moving.type("provision", "--override", "the table goes next month")[0] == 0
        kept = {record.what: record.evidence for record in moving.records()}
        assert kept["overridden"]["reason"] == kept["done"]["accepted"] == "the table goes next month"
        assert [each["code"] for each in kept["done"]["obstacles"]] == ["foreign_key"]


def test_every_code_has_its_line_in_the_document_and_a_test_here_or_of_servers() -> None:
    lines = re.findall(r"^\| `(\w+)` \| (\w+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert dict(lines) == {code: severity for code, (severity, _) in KINDS.items()}
    assert len(lines) == len(KINDS)
    tests = "".join((Path(__file__).parent / f"test_{name}.py").read_text() for name in TESTED_IN)
    assert [code for code in KINDS if f'"{code}"' not in tests] == []


def codes(pair: Pair) -> list[str]:
    return [each.code for each in obstacles(pair)]


def urgent(pair: Pair) -> list[str]:
    return [str(each) for each in obstacles(pair) if each.severity != "note"]


def named(pair: Pair, code: str) -> list[Obstacle]:
    return [each for each in obstacles(pair) if each.code == code]


def run(side: Side, *statements: str) -> None:
    with connect(side) as admin:
        for statement in filter(None, statements):
            admin.execute(statement)


def tidy(pair: Pair) -> None:
    """What outlives the databases of a pair."""
    with connect(pair.source) as admin:
        admin.execute("alter system reset max_slot_wal_keep_size")
        admin.execute("select pg_reload_conf()")
        admin.execute("alter role shop_inventory reset all")
        if admin.execute("select 1 from pg_roles where rolname = 'strong'").fetchone():
            admin.execute("reassign owned by strong to shop_inventory; drop role strong")
