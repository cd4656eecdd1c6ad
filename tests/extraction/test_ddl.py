"""Nobody changes the tables of a module that is on its way, but who says so on both sides."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from extraction.placement.database import DDL_SETTING
from extraction.replicate.ddl_guard import guard_side, unguard
from extraction.replicate.fence import fence
from extraction.replicate.pair import Pair
from extraction.replicate.removal import remove
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import as_owner, connect
from tests.extraction.test_removal import dumped

REFUSED = [
    "alter table product add column colour text",
    "alter table product drop column name",
    "alter table product alter column price type numeric(14, 2)",
    "alter table product alter column picture set not null",
    "alter table product rename column name to title",
    "alter table product rename to goods",
    "alter table product add constraint dear check (price < 100000)",
    "alter table product replica identity full",
    "alter table product disable trigger inventory_fence",
    "alter table product enable always trigger inventory_fence",
    "alter table ticket set unlogged",
    "alter table product enable row level security",
    "alter table stock drop constraint stock_pkey",
    "alter table movement detach partition movement_2026",
    "create table movement_2027 partition of movement default",
    "create table late (id int primary key)",
    "create table late as select 1 as id",
    "select 1 as id into late",
    "drop table ticket",
    'drop table "Odd ""table"" %s"',
    "drop function inventory_fence() cascade",
    "drop trigger inventory_fence on product",
    "drop owned by current_user cascade",
    "alter domain amount add constraint small check (value < 100)",
    "alter domain amount set not null",
    "alter type place add attribute floor int",
    "create unique index on product (name)",
    "drop schema inventory cascade",
    "alter schema inventory rename to stock",
    "do $$ begin execute 'alter table product add column colour text'; end $$",
]
ALLOWED = [
    "create index on product (name)",
    "create index concurrently by_price on product (price)",
    "create table public.elsewhere (id int)",
    "create temporary table mine (id int)",
    "analyze product",
    "vacuum product",
    "grant select on product to public",
    "alter table product alter column name set statistics 500",
    "alter table product set (fillfactor = 90)",
    "comment on table product is 'what is sold'",
    "create view dear as select * from product where price > 100",
    "truncate ticket",
    "reindex table product",
    "drop index ticket_once",
    "create unique index on public.elsewhere (id)",
    "create unique index concurrently elsewhere_once on public.elsewhere (id)",
]


@pytest.fixture
def guarded(pair: Pair) -> Pair:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create domain amount int; create domain fine as amount")
            owner.execute("create type place as (hall int)")
            owner.execute("alter table ticket add column places place[], add column fine fine default 1")
            owner.execute("create unique index ticket_once on ticket (writer, number)")
        with connect(side) as admin:
            fence(pair, admin, timeout_s=10)
            assert guard_side(pair, admin) == ""
            database = admin.info.dbname
            admin.execute("grant usage, create on schema public to shop_inventory")
            admin.execute(f"grant create, temporary on database {database} to shop_inventory")
    return pair


def test_what_the_other_side_could_not_follow_is_refused(guarded: Pair) -> None:
    for side in (guarded.source, guarded.target):
        with as_owner(side) as owner:
            before = _tables(owner)
            for statement in REFUSED:
                with pytest.raises(psycopg.Error) as refused:
                    owner.execute(sql.SQL(statement))
                assert refused.value.sqlstate == "MV004", f"{statement}: {refused.value}"
            assert _tables(owner) == before


def test_the_refusal_says_what_to_do(guarded: Pair) -> None:
    with as_owner(guarded.source) as owner, pytest.raises(psycopg.Error) as refused:
        owner.execute("alter table product add column colour text")
    assert "ALTER TABLE would change tables of inventory, which is on its way from monolith to inventory" in str(
        refused.value
    )
    assert f"SET {DDL_SETTING} = '{guarded.id}'; then run: manage.py extract replicate inventory" in str(refused.value)


def test_what_changes_nothing_for_the_other_side_is_allowed(guarded: Pair) -> None:
    with as_owner(guarded.source) as owner:
        for statement in ALLOWED:
            owner.execute(sql.SQL(statement))
        with owner.transaction():
            owner.execute("create index on product (changed_at)")
            owner.execute("drop index by_price")


def test_a_session_that_names_the_migration_may_change_what_it_says_on_both_sides(guarded: Pair) -> None:
    for side in (guarded.target, guarded.source):
        with as_owner(side) as owner:
            owner.execute(f"set {DDL_SETTING} = 'another'")
            with pytest.raises(psycopg.Error, match="would change tables"):
                owner.execute("create table late (id int primary key)")
            owner.execute(f"set {DDL_SETTING} = '{guarded.id}'")
            owner.execute("create table late (id int primary key)")
            owner.execute(f"reset {DDL_SETTING}")
            owner.execute("create index on late (id)")
            with pytest.raises(psycopg.Error, match="would change tables"):
                owner.execute("drop table late")


def test_who_began_before_the_guard_was_there_has_nothing_to_compare(pair: Pair) -> None:
    with as_owner(pair.source) as owner, connect(pair.source) as admin:
        guard_side(pair, admin)
        owner.execute(f"set extraction.tables_{pair.name} = ''")
        admin.execute(f"alter event trigger {pair.name}_before disable")
        owner.execute("alter table product add column colour text")
        assert guard_side(pair, admin) == ""
        with pytest.raises(psycopg.Error, match="would change tables"):
            owner.execute("alter table product drop column colour")


def test_tables_of_others_in_a_shared_schema_are_theirs(pair: Pair) -> None:
    shared = Pair(pair.id, pair.module, pair.schema, pair.source, pair.target, only=("product", "movement"))
    with as_owner(pair.source) as owner, connect(pair.source) as admin:
        guard_side(shared, admin)
        owner.execute("alter table ticket add column colour text; create table late (id int); drop table late")
        for statement in ("alter table product rename to goods", "create table m partition of movement default"):
            with pytest.raises(psycopg.Error, match="would change tables"):
                owner.execute(sql.SQL(statement))


def test_a_unique_index_that_was_made_concurrently_is_there_and_may_be_dropped(guarded: Pair) -> None:
    with as_owner(guarded.source) as owner:
        with pytest.raises(psycopg.Error, match="would change tables") as refused:
            owner.execute("create unique index concurrently product_once on product (name, id)")
        assert refused.value.diag.message_detail
        drop = refused.value.diag.message_detail.partition("has to go: ")[2]
        assert drop == "DROP INDEX CONCURRENTLY inventory.product_once"
        owner.execute(sql.SQL(drop))
        owner.execute("alter table product set (fillfactor = 90)")


def test_modules_that_are_on_their_way_in_one_database_do_not_hear_each_other(guarded: Pair) -> None:
    tables = {"t998": ("product", "movement"), "t999": ("ticket",)}
    others = [Pair(id, "module", "inventory", guarded.source, guarded.target, only=only) for id, only in tables.items()]
    with as_owner(guarded.source) as owner, connect(guarded.source) as admin:
        unguard(guarded, admin)
        for other in others:
            assert guard_side(other, admin) == ""
        owner.execute("create temporary table mine (id int primary key); drop table mine")
        owner.execute("create table public.unmoved (id int); alter table public.unmoved add column name text")
        for statement in ("alter table product add column colour text", "alter table ticket add column colour text"):
            with pytest.raises(psycopg.Error, match="would change tables"):
                owner.execute(sql.SQL(statement))
        third = replace(guarded, id="t1000")
        assert guard_side(third, admin) == ""
        for each in (third, *others):
            unguard(each, admin)
        assert not _objects(admin)
        owner.execute("alter table product add column colour text")


def test_a_role_that_makes_no_event_triggers_is_told_so(pair: Pair) -> None:
    with connect(pair.source) as admin:
        admin.execute("set role shop_inventory")
        why = guard_side(pair, admin)
        admin.execute("reset role")
        assert "Must be superuser" in why or "permission denied" in why
        assert "only manage.py migrate refuses" in why
        assert not _objects(admin)


def test_nothing_of_it_is_left(pair: Pair) -> None:
    before = dumped(pair.source)
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None, timeout_s=60)
    for side in (pair.source, pair.target):
        with connect(side) as admin:
            guard_side(pair, admin)
            guard_side(pair, admin)
            assert len(_objects(admin)) == 3
    assert remove(pair) == []
    assert dumped(pair.source) == before
    with connect(pair.target) as admin:
        assert not _objects(admin)
        unguard(pair, admin)


def _tables(connection: Connection[Any]) -> list[Any]:
    return connection.execute(
        "select c.relname, a.attname, a.atttypid from pg_class c join pg_attribute a on a.attrelid = c.oid"
        " where c.relnamespace = 'inventory'::regnamespace and c.relkind in ('r', 'p') order by 1, 2"
    ).fetchall()


def _objects(admin: Connection[Any]) -> list[Any]:
    return admin.execute(
        "select evtname from pg_event_trigger union all select nspname from pg_namespace where nspname ~ '_ddl$'"
    ).fetchall()
