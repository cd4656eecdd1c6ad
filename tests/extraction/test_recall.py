"""A module that was handed over and not taken comes back to one side, and the other never opens by what it missed."""

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from extraction.cutover.errors import Away, NotBetween
from extraction.cutover.recall import Between, _close, _loss, between, recall
from extraction.cutover.switch import switch
from extraction.cutover.verify import verify
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import is_complete
from tests.extraction.commands import Project
from tests.extraction.conftest import Servers, as_owner, connect, rows, wait_for
from tests.extraction.coordinator import coordinator
from tests.extraction.test_switch import can_write, place, places, stopped

pytestmark = pytest.mark.timeout(300)
RECALL = "manage.py extract recall inventory"
WATCH = """
create table public.heard (home text, epoch bigint);
create function public.hear() returns trigger language plpgsql as
  'begin insert into public.heard values (new.home, new.epoch); return null; end';
grant usage on schema public to public;
grant insert on public.heard to public;
create trigger hear after update on inventory.inventory_placement for each row execute function public.hear();
alter table inventory.inventory_placement enable always trigger hear
"""


def may_read(pair: Pair, *, login: bool) -> None:
    """Break the stream out, or let it go on."""
    with connect(pair.source) as admin:
        word = sql.SQL("login" if login else "nologin")
        admin.execute(sql.SQL("alter role {} {}").format(sql.Identifier(pair.out.reader), word))
        ends = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s"
        admin.execute(ends, [pair.out.reader])


def hand_over_unheard(pair: Pair) -> None:
    """The commit happens, and the stream that would tell the target is broken."""
    options: dict[str, Any] = {"failpoint": "cutover.before_commit:stop", "to": "inventory", "max_pause_ms": 60_000}
    with coordinator(pair, **options, open_within_s=0.2) as process:
        wait_for(lambda: stopped(process))
        may_read(pair, login=False)
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    assert printed.startswith("NotOpen"), printed


@contextmanager
def scribbling(pair: Pair) -> Iterator[list[str]]:
    """Somebody writes on both sides at once as often as it goes; the names that were acknowledged."""
    is_over, written = threading.Event(), list[str]()

    def scribble(side: Side) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            name = f"{side.unit} {number}"
            try:
                with as_owner(side) as owner:
                    while not is_over.is_set():
                        try:
                            owner.execute("insert into product (name, price) values (%s, 1)", [name])
                        except psycopg.Error as error:
                            if error.sqlstate not in ("MV001", "MV002"):
                                raise
                        else:
                            written.append(name)
                            number += 1
                            name = f"{side.unit} {number}"
            except psycopg.OperationalError:
                continue

    threads = [threading.Thread(target=scribble, args=(side,), daemon=True) for side in (pair.source, pair.target)]
    for thread in threads:
        thread.start()
    yield written
    is_over.set()
    for thread in threads:
        thread.join()


def stream_back(admin: psycopg.Connection[Any]) -> str:
    """The name of this database's subscription to the target."""
    (name,) = admin.execute(
        "select subname from pg_subscription where subname like '%\\_back'"
        " and subdbid = (select oid from pg_database where datname = current_database())"
    ).fetchone() or ("",)
    return str(name)


@contextmanager
def unsealed(servers: Servers) -> Iterator[None]:
    """What a test writes into the server's files is gone after it."""
    file = servers.target.postgres.data / "postgresql.auto.conf"
    before = file.read_text()
    yield
    servers.target.stop()
    file.write_text(before)
    servers.target.start()


def test_the_source_is_home_again_and_the_target_never_opens_by_what_it_missed(joined: Pair) -> None:
    with connect(joined.target) as admin:
        admin.execute(WATCH)
    with as_owner(joined.source) as owner:
        owner.execute("insert into product (name, price) values ('before', 1)")
    hand_over_unheard(joined)
    assert [can_write(joined.source), can_write(joined.target)] == [False, False]

    recalled = recall(joined, command=RECALL)

    assert (recalled.home, recalled.epoch, recalled.closed, recalled.loss) == ("monolith", 2, "inventory", None)
    assert [can_write(joined.source), can_write(joined.target)] == [True, False]
    may_read(joined, login=True)
    wait_for(lambda: places(joined) == [("monolith", 2)] * 2)
    with connect(joined.target) as admin:
        # The guard lets its own minimum through, and then nothing but the new epoch.
        assert admin.execute("select * from public.heard").fetchall() == [("monolith", 0), ("monolith", 2)]
    wait_for(lambda: not is_complete(joined))
    assert switch(joined, to="inventory").epoch == 3
    assert can_write(joined.target)
    assert verify(joined).equal


def test_in_eight_rounds_never_both_sides_accept(joined: Pair) -> None:
    outcomes = []
    with scribbling(joined) as written:
        for _ in range(8):
            count = len(written)
            wait_for(lambda: len(written) > count + 5)  # noqa: B023
            hand_over_unheard(joined)
            racing = threading.Thread(target=may_read, args=(joined,), kwargs={"login": True})
            racing.start()
            try:
                outcomes.append(recall(joined, command=RECALL).home)
            except NotBetween:
                outcomes.append("inventory")
            racing.join()
            wait_for(lambda: len(set(places(joined))) == 1)
            assert place(joined, joined.source)[0] == outcomes[-1]
            wait_for(lambda: not is_complete(joined))
            switch(joined, to="monolith")
    print(outcomes)
    assert "monolith" in outcomes
    assert verify(joined).equal
    names = [row[1] for row in rows(joined.source, "product") if row[1].partition(" ")[0] in ("monolith", "inventory")]
    assert sorted(names) == sorted(written)


def test_a_recall_that_was_broken_off_goes_on_and_nothing_else_does(joined: Pair) -> None:
    hand_over_unheard(joined)
    _close(joined, between(joined, command=RECALL), RECALL)
    may_read(joined, login=True)
    with connect(joined.source) as admin:
        sent = "select confirmed_flush_lsn >= pg_current_wal_lsn() from pg_replication_slots where slot_name = %s"
        wait_for(lambda: admin.execute(sent, [joined.out.name]).fetchone() == (True,))
    assert [can_write(joined.source), can_write(joined.target)] == [False, False]

    assert recall(joined, command=RECALL).epoch == 2
    assert [can_write(joined.source), can_write(joined.target)] == [True, False]
    with pytest.raises(NotBetween, match="nothing to recall"):
        wait_for(lambda: places(joined) == [("monolith", 2)] * 2)
        recall(joined, command=RECALL)


def test_what_has_opened_is_not_recalled(joined: Pair) -> None:
    hand_over_unheard(joined)
    found = between(joined, command=RECALL)
    may_read(joined, login=True)
    wait_for(lambda: can_write(joined.target))
    with pytest.raises(NotBetween, match=r"has opened in inventory .*extract rollback inventory"):
        _close(joined, found, RECALL)
    with pytest.raises(NotBetween, match="lives in inventory since epoch 1"):
        recall(joined, command=RECALL)
    assert [can_write(joined.source), can_write(joined.target)] == [False, True]


def test_a_target_that_does_not_answer_may_be_open(joined: Pair, servers: Servers) -> None:
    switch(joined, to="inventory")
    servers.target.stop(how="crash")
    with pytest.raises(Away, match=r"may have opened by epoch 1: start it, .*recall inventory --accept-loss REASON"):
        recall(joined, command=RECALL)
    assert place(joined, joined.source) == ("inventory", 1)
    assert not can_write(joined.source)


def test_what_is_lost_is_told_as_far_as_one_may_know_it(joined: Pair) -> None:
    switch(joined, to="inventory")
    found = Between(joined.source, joined.target, 1, answers=False)
    with connect(joined.source) as admin, as_owner(joined.source) as owner:
        known, unknown = _loss(joined, found, admin), _loss(joined, found, owner)
    assert known.received_lsn
    assert (unknown.received_lsn, unknown.gap_bytes) == ("", None)
    assert known.since == unknown.since
    assert "lost: what inventory wrote after an unknown position of its log" in unknown.sentence("inventory")


def test_a_target_that_was_given_up_comes_back_closed_and_sends_nothing(moving: Project, servers: Servers) -> None:
    moving.do("provision", "replicate", "verify", "ramp", "cutover")
    pair = moving.pair
    directory = {"TEST_TARGET_DIRECTORY": str(servers.target.postgres.directory)}
    lost = ["--accept-loss", "the machine burnt"]
    with connect(pair.source) as admin:
        stream = stream_back(admin)
        admin.execute(sql.SQL("alter subscription {} disable").format(sql.Identifier(stream)))
        wait_for(lambda: not admin.execute("select from pg_stat_subscription where pid is not null").fetchall())
    with as_owner(pair.target) as owner:
        owner.execute("insert into product (name, price) values ('never sent', 1)")
    with unsealed(servers):
        servers.target.stop(how="crash")
        with connect(pair.source) as admin:
            admin.execute(sql.SQL("alter subscription {} enable").format(sql.Identifier(stream)))
        assert "start it, then run: manage.py extract recall inventory" in moving.refused("recall")
        # A platform that does not know whether the target is stopped: nothing changes.
        assert "nobody knows whether the server of inventory is stopped" in moving.refused("recall", *lost)
        assert not can_write(pair.source)

        status, out, err = moving.type("recall", *lost, "--json", **directory)

        assert status == 0, err
        evidence = json.loads(out)["evidence"]
        assert (evidence["home"], evidence["epoch"], evidence["accepted"]) == ("monolith", 3, "the machine burnt")
        assert evidence["loss"]["received_lsn"]
        assert "lost: what inventory wrote after" in err
        assert json.loads(out)["next"] == "manage.py extract abort inventory"
        assert can_write(pair.source)
        assert moving.routes()["home"] == "monolith"
        with connect(pair.source) as admin:
            assert stream_back(admin) == ""

        servers.target.start()
        for writes in (as_owner, connect):
            with writes(pair.target) as returned, pytest.raises(psycopg.Error, match="is closed here") as refused:
                returned.execute("insert into inventory.product (name, price) values ('late', 1)")
            assert refused.value.sqlstate == "MV003"
        # It hears of its end by itself, and what it had is not fed in.
        wait_for(lambda: place(pair, pair.target) == ("monolith", 3))
        assert "was given up" in moving.refused("cutover", "--override", "x")
        assert "was given up" in moving.refused("replicate")
        names = [row[1] for row in rows(pair.source, "product")]
        assert "never sent" not in names
        assert "one more" in names
        moving.do("abort")
        assert can_write(pair.source)


def test_without_files_of_the_server_nothing_is_given_up_while_it_runs(servers: Servers) -> None:
    with pytest.raises(Exception, match="runs, or another at its port"):
        servers.target.postgres.seal("inventory")


def test_a_module_that_was_taken_back_by_a_stage_that_died_is_told_to_the_edge(moving: Project) -> None:
    moving.do("provision", "replicate", "verify", "ramp")
    assert "there is nothing to recall" in moving.refused("recall")
    pair = replace(moving.pair, id=moving.status()["migration"])
    hand_over_unheard(pair)
    recall(pair, command=RECALL)
    routes = moving.routes() | {"home": "inventory", "candidate": "monolith", "candidate_percent": 0.0}
    (moving.state / "routes.json").write_text(json.dumps(routes))

    moving.do("recall")

    assert moving.routes()["home"] == "monolith"
    now = moving.status()
    assert (now["stage"], now["home"]) == ("replicate", "monolith"), "what was compared before is not equal for that"
    assert "there is nothing to recall" in moving.refused("recall")


def test_a_recall_that_comes_too_late_is_not_done(moving: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    moving.do("provision", "replicate")
    pair = replace(moving.pair, id=moving.status()["migration"])
    hand_over_unheard(pair)

    def late(*given: Any, **options: Any) -> Any:
        may_read(pair, login=True)
        wait_for(lambda: can_write(pair.target))
        return recall(*given, **options)

    monkeypatch.setattr("extraction.stages.recall.recall", late)
    assert "lives in inventory since epoch 1" in moving.refused("recall")
    assert moving.records()[-1].what == "failed"
    assert can_write(pair.target)


def test_a_way_back_that_is_lost_is_said_by_each_stage_with_what_helps(moving: Project) -> None:
    moving.do("provision", "replicate")
    assert moving.type("cutover", "--override", "tried")[0] == 0
    assert moving.do("replicate")["outcome"] == "already"
    with connect(moving.pair.source) as source, connect(moving.pair.target) as target:
        stream = stream_back(source)
        source.execute(sql.SQL("alter subscription {} disable").format(sql.Identifier(stream)))
        assert "the subscription is disabled" in moving.refused("replicate")
        drop = (
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s and not active"
        )
        wait_for(lambda: target.execute(drop, [stream]).fetchone())
        source.execute(sql.SQL("alter subscription {} enable").format(sql.Identifier(stream)))
    for stage in ("replicate", "rollback"):
        message = moving.refused(stage)
        assert message.endswith('manage.py extract complete inventory --override "the stream back is lost"'), message
        assert "no way back" in message
    assert can_write(moving.pair.target)


def test_a_stream_back_that_was_lost_is_made_anew_while_the_source_is_home(moving: Project, servers: Servers) -> None:
    moving.do("provision", "replicate")
    pair = moving.pair
    with as_owner(pair.source) as owner:
        owner.execute("insert into product (name, price) values ('kept', 1)")
    with connect(pair.source) as source, connect(pair.target) as target:
        stream = stream_back(source)
        name = sql.Identifier(stream)
        source.execute(sql.SQL("alter subscription {} disable").format(name))
        drop = (
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s and not active"
        )
        wait_for(lambda: target.execute(drop, [stream]).fetchone())
        source.execute(sql.SQL("alter subscription {} enable").format(name))
    assert "extract replicate inventory" in moving.refused("cutover", "--override", "tried")
    assert moving.status()["next"] == "manage.py extract replicate inventory"
    moving.do("replicate")
    assert moving.type("cutover", "--override", "tried")[0] == 0
    with as_owner(pair.target) as owner:
        owner.execute("insert into product (name, price) values ('of the target', 1)")
    moving.do("rollback")
    assert {"kept", "of the target"} <= {row[1] for row in rows(pair.source, "product")}


def test_a_stream_out_that_was_lost_is_made_anew_while_the_target_is_home(moving: Project) -> None:
    moving.do("provision", "replicate")
    pair = moving.pair
    assert moving.type("cutover", "--override", "tried")[0] == 0
    name = f"inventory_{moving.status()['migration']}_out"
    with as_owner(pair.target) as owner:
        owner.execute("insert into product (name, price) values ('of the target', 1)")
    with connect(pair.source) as source, connect(pair.target) as target:
        target.execute(sql.SQL("alter subscription {} disable").format(sql.Identifier(name)))
        drop = (
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s and not active"
        )
        wait_for(lambda: source.execute(drop, [name]).fetchone())
        target.execute(sql.SQL("alter subscription {} enable").format(sql.Identifier(name)))
    assert "extract replicate inventory" in moving.refused("rollback")
    moving.do("replicate")
    assert is_complete(replace(pair, id=moving.status()["migration"])) == []
    moving.do("rollback")
    with as_owner(pair.source) as owner:
        owner.execute("insert into product (name, price) values ('of the source', 1)")
    moving.do("verify", "ramp", "cutover")
    for side in (pair.source, pair.target):
        names = [row[1] for row in rows(side, "product")]
        assert {"of the target", "of the source"} <= set(names)
        assert len(names) == len(set(names))


def test_status_names_a_side_that_says_what_it_cannot_have_come_to(moving: Project) -> None:
    moving.do("provision", "replicate")
    assert not any("a copy of an earlier time" in problem for problem in moving.status()["problems"])
    with connect(moving.pair.source) as admin:
        stream = stream_back(admin)
        admin.execute(sql.SQL("alter subscription {} disable").format(sql.Identifier(stream)))
        wait_for(lambda: not admin.execute("select from pg_stat_subscription where pid is not null").fetchall())
    with connect(moving.pair.target) as admin:
        # As it is where the source is back in time by two switches.
        admin.execute("set session_replication_role = replica")
        admin.execute("update inventory.inventory_placement set epoch = 2")
    problems = moving.status()["problems"]
    assert any("monolith runs on a copy of an earlier time. Stop that server" in problem for problem in problems)
    assert "monolith runs on a copy of an earlier time" in moving.refused("cutover", "--override", "tried")
