"""The coordinator is no superuser: each grant that is printed is needed, and with all of them every stage is done."""

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from extraction.cutover import large
from extraction.cutover.errors import Busy, NotOpen
from extraction.cutover.large import require_small
from extraction.cutover.recall import Between, _loss, recall
from extraction.cutover.switch import switch
from extraction.platform.database import with_login
from extraction.replicate.errors import NoStream, Unfit
from extraction.replicate.obstacles import activity, server
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import obstacles
from extraction.replicate.privileges import PARAMETERS, grants
from extraction.replicate.queries import replicate
from extraction.replicate.removal import remove
from extraction.replicate.stream import follow, prepare, start
from tests.extraction import conftest
from tests.extraction.commands import Project, made, project, receive, schema
from tests.extraction.conftest import Servers, as_owner, connect, meanwhile, wait_for
from tests.extraction.test_recall import hand_over_unheard, may_read
from tests.extraction.test_switch import places
from tests.extraction.two_servers import EXTRACTION, TwoServers

PASSWORD = "moves"


@dataclass(frozen=True)
class Mover:
    """A login role of both servers without any right of its own."""

    role: str
    strong: Pair
    """As a superuser sees it."""

    @property
    def pair(self) -> Pair:
        strong = self.strong
        return replace(strong, source=self.as_mover(strong.source), target=self.as_mover(strong.target))

    def as_mover(self, side: Side) -> Side:
        return Side(side.unit, as_role(side.url, self.role))

    def grant_all(self) -> None:
        for side in (self.strong.source, self.strong.target):
            run(side, *grants(self.strong, side, self.role))


class AsMover(TwoServers):
    """Makes databases as their servers' owner does, and lets the tooling in as the role TEST_MOVER."""

    def admin_url(self, unit: str, module: str) -> str:
        return as_role(super().admin_url(unit, module), os.environ["TEST_MOVER"])


@pytest.fixture(scope="module")
def mover(servers: Servers) -> Iterator[Mover]:
    """With all that it needs."""
    with conftest._new_pair(servers.source, servers.target) as pair, role_of(pair) as made_role:
        made_role.grant_all()
        yield made_role
        remove(pair)


def test_with_the_grants_nothing_is_in_the_way(mover: Mover) -> None:
    assert obstacles(mover.pair) == []


@pytest.mark.parametrize(
    ("revoked", "fails"),
    [
        ("alter role {} nocreaterole", "create role"),
        ("alter role {} noreplication", "create role"),
        ("revoke grant option for connect on database {database} from {}", "permission denied for database"),
        ("revoke create on database {database} from {}", "permission denied for database"),
        ("revoke shop_inventory from {} cascade", "permission denied"),
        ("revoke admin option for shop_inventory from {} cascade", "grant role"),
        ("revoke inherit option for shop_inventory from {} cascade", "permission denied|must be owner"),
        ("revoke set option for shop_inventory from {} cascade", "set role"),
        ("revoke admin option for pg_create_subscription from {} cascade", "grant role"),
        ("revoke set on parameter session_replication_role from {}", "session_replication_role"),
        *(
            (f"revoke set on parameter {name} from {{}}", name)
            for name in (
                *("log_statement", "log_min_duration_statement", "log_min_error_statement", "log_duration"),
                "track_activities",
            )
        ),
        *(
            (f"revoke execute on function {name} from {{}}", re.escape(name.partition("(")[0]))
            for name in (
                *("pg_replication_origin_create(text)", "pg_replication_origin_drop(text)"),
                *("pg_replication_origin_session_setup(text)", "pg_replication_origin_session_reset()"),
            )
        ),
    ],
)
def test_without_one_replicate_fails_and_says_so_before(
    mover: Mover, monkeypatch: pytest.MonkeyPatch, revoked: str, fails: str
) -> None:
    lacking = mover.pair
    for side in (mover.strong.source, mover.strong.target):
        names = {"database": sql.Identifier(side.url.rpartition("/")[2])}
        with connect(side) as admin:
            admin.execute(sql.SQL(revoked).format(sql.Identifier(mover.role), **names))
    try:
        found = obstacles(lacking)
        assert {each.code for each in found} == {"privilege"}
        with pytest.raises(Unfit, match=re.escape(found[0].mend)):
            prepare(lacking)
        with monkeypatch.context() as unasked:
            unasked.setattr(server, "missing", lambda *_: [])
            with pytest.raises((psycopg.errors.InsufficientPrivilege, NoStream), match=fails):
                prepare(lacking)
                start(lacking)
    finally:
        assert remove(mover.strong) == []
        empty(mover.strong)
        for each in obstacles(lacking):
            run(mover.strong.side(each.unit), each.mend)
    assert obstacles(lacking) == []


def test_each_setting_that_hides_the_password_is_asked_for() -> None:
    settings = re.findall(r"^set ([\w.]+) =", replicate("hide_password").as_string(), re.MULTILINE)
    assert "pgaudit.log" in settings
    assert set(settings) <= PARAMETERS.keys()


def test_without_statistics_it_does_not_see_who_is_in_the_way(mover: Mover, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "LONG_S", 0)
    with psycopg.connect(mover.strong.source.url) as writer:
        writer.execute("select pg_current_xact_id()")
        assert "transaction" in [each.code for each in obstacles(mover.pair)]
        run(mover.strong.source, f"revoke pg_read_all_stats from {mover.role}")
        try:
            (found,) = obstacles(mover.pair)
            with monkeypatch.context() as unasked:
                unasked.setattr(server, "missing", lambda *_: [])
                assert "transaction" not in [each.code for each in obstacles(mover.pair)]
        finally:
            run(mover.strong.source, found.mend)


def test_without_signals_it_cannot_open_a_home_that_somebody_keeps_closed(mover: Mover) -> None:
    pair = mover.pair
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None)
    with connect(mover.strong.target) as admin:
        admin.execute(f"create role stranger_{pair.id} login password 'x'")
        admin.execute(f"grant connect on database {admin.info.dbname} to stranger_{pair.id}")
        admin.execute(f"grant usage on schema inventory to stranger_{pair.id}")
        admin.execute(f"grant select, update on all tables in schema inventory to stranger_{pair.id}")
    run(mover.strong.target, f"revoke pg_signal_backend from {mover.role}")
    stranger = psycopg.connect(as_role(mover.strong.target.url, f"stranger_{pair.id}", "x"))
    try:
        stranger.execute("select from inventory.inventory_placement for update")
        told: list[str] = []
        with pytest.raises(NotOpen, match=r"manage\.py extract cutover inventory"):
            switch(pair, to="inventory", open_within_s=1, tell=told.append)
        assert [line for line in told if f"SELECT pg_terminate_backend({stranger.info.backend_pid});" in line]
        (found,) = obstacles(pair)
        run(mover.strong.target, found.mend)
        switch(pair, to="inventory")
        switch(pair, to="monolith")
    finally:
        stranger.close()
        remove(mover.strong)
        empty(mover.strong)
        run(
            mover.strong.target,
            f"grant pg_signal_backend to {mover.role}",
            f"drop owned by stranger_{pair.id}",
            f"drop role stranger_{pair.id}",
        )


def test_where_somebody_else_owns_the_schema_its_use_has_to_be_granted_on(pair: Pair) -> None:
    sides = (pair.source, pair.target)
    for side in sides:
        run(side, "alter schema inventory owner to postgres", "grant all on schema inventory to shop_inventory")
    with role_of(pair) as mover:
        mover.grant_all()
        for side in sides:
            run(side, f"revoke usage on schema inventory from {mover.role}")
        found = obstacles(mover.pair)
        assert [each.mend for each in found] == [
            f'GRANT USAGE ON SCHEMA "inventory" TO "{mover.role}" WITH GRANT OPTION;'
        ] * len(sides)
        for each in found:
            run(pair.side(each.unit), each.mend)
        prepare(mover.pair)
        start(mover.pair)
        follow(mover.pair, tell=lambda _: None)
        assert remove(mover.pair) == []


def test_who_is_large_is_found_out_at_once_or_as_soon_as_the_server_notes_it(
    mover: Mover, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair, strong = mover.pair, mover.strong
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None)
    monkeypatch.setattr(large, "OLD_S", 0.0)

    def ask(within_s: float) -> None:
        monkeypatch.setattr(large, "NOTED_WITHIN_S", within_s)
        with connect(pair.source) as home:
            require_small(pair, home, pair.source, command="again")

    try:
        with beside_much(strong.source):
            ask(5)
        run(strong.source, f"revoke execute on function pg_log_standby_snapshot() from {mover.role}")
        for _ in range(5):
            with beside_much(strong.source):
                try:
                    ask(0)
                except Busy:
                    with noting(strong.source):
                        ask(10)
                    break
        else:
            pytest.fail("the server noted it by itself each time")
    finally:
        for each in obstacles(pair):
            run(strong.source, each.mend)
        remove(strong)
        empty(strong)


@contextmanager
def noting(side: Side) -> Iterator[None]:
    """The server notes what is open, again and again, as it does by itself every 15 s."""

    def note(is_over: threading.Event) -> None:
        while not is_over.wait(0.3):
            run(side, "select pg_log_standby_snapshot()")

    with meanwhile(note):
        yield


@contextmanager
def beside_much(side: Side) -> Iterator[None]:
    """An open transaction that has written nothing, and a log of 80 MB that others wrote just before."""
    run(side, "select pg_logical_emit_message(false, '', repeat('x', 1000000)) from generate_series(1, 80)")
    with psycopg.connect(side.url) as small:
        small.execute("select pg_current_xact_id()")
        yield


def test_what_a_recall_loses_is_told_to_a_role_that_is_no_superuser(mover: Mover) -> None:
    pair = mover.pair
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None)
    # Other tests of this file may have moved it before.
    (_, epoch), _ = places(pair)
    try:
        switch(pair, to="inventory")
        with as_owner(pair.target) as owner:
            owner.execute("insert into product (name, price) values ('sent', 1)")
        found = Between(pair.source, pair.target, epoch + 1, answers=False)
        with connect(pair.source) as giver:
            wait_for(lambda: _loss(pair, found, giver).received_lsn)
        switch(pair, to="monolith")
        hand_over_unheard(pair)
        assert recall(pair, command="again").home == "monolith"
        may_read(pair, login=True)
        wait_for(lambda: places(pair) == [("monolith", epoch + 4)] * 2)
    finally:
        remove(mover.strong)
        empty(mover.strong)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("last", ["abort", "complete"])
def test_every_stage_is_done_by_a_role_that_is_no_superuser(pair: Pair, db: None, settings: Any, last: str) -> None:
    settings.EXTRACTION = EXTRACTION | {"platform": f"{__name__}.AsMover"}
    with role_of(pair) as mover, project(pair) as moving, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEST_MOVER", mover.role)
        for side in (pair.source, pair.target):
            assert "grant it CONNECT" in moving.refused("provision")
            run(side, f"grant connect on database {side.url.rpartition('/')[2]} to {mover.role}")
            mend(moving, side)
        before = schema(pair.source), made(pair)
        moving.do("provision", "replicate", "verify", "ramp", "cutover", "rollback")
        if last == "abort":
            moving.do("abort")
            assert schema(pair.source) == before[0]
        else:
            moving.do("cutover", "verify", "complete")
            receive(pair, "inventory")
            assert moving.type("complete", "--drop")[0] == 0
        assert made(pair) == before[1]


def empty(pair: Pair) -> None:
    """Take the rows away that a migration brought, as the end of the target's database does otherwise."""
    tables = ("product", "reservation", "stock", "ticket", "movement", 'Odd "table" %s')
    names = sql.SQL(", ").join(sql.Identifier("inventory", name) for name in tables)
    with connect(pair.target) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute(sql.SQL("truncate {}").format(names))


def mend(moving: Project, side: Side) -> None:
    """Type provision, and run as a superuser what it says that this side lacks."""
    status, out, err = moving.type("provision", "--json")
    assert status == 1, out
    assert "obstacles" in out, out
    found = json.loads(out)["evidence"]["obstacles"]
    assert {(each["code"], each["unit"]) for each in found} == {("privilege", side.unit)}, err
    run(side, *(each["mend"] for each in found))


@contextmanager
def role_of(pair: Pair) -> Iterator[Mover]:
    """A login role on both servers of this pair, dropped at the end."""
    mover, sides = Mover(f"mover_{pair.id}", pair), (pair.source, pair.target)
    for side in sides:
        run(side, f"create role {mover.role} login password '{PASSWORD}'")
    yield mover
    for side in sides:
        server_url = side.url.rpartition("/")[0]
        for database in {side.url, f"{server_url}/postgres"}:
            run(Side(side.unit, database), f"drop owned by {mover.role} cascade")
        run(side, f"drop role {mover.role}")


def as_role(url: str, role: str, password: str = PASSWORD) -> str:
    return with_login(url, role=role, password=password, database=url.rpartition("/")[2])


def run(side: Side, *statements: str) -> None:
    with connect(side) as admin:
        for statement in statements:
            admin.execute(statement)
