"""The placement row guards itself, and no table of the module is written where the module does not live."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
import pytest

from extraction.replicate.errors import Blocked
from extraction.replicate.fence import fence, tables, unfence
from extraction.replicate.pair import Pair, Side
from extraction.replicate.stream import prepare
from tests.extraction.conftest import as_owner, connect, wait_for

MOVED, IN_MOTION, FORBIDDEN = "MV001", "MV002", "MV003"
HOT_WRITERS = 16


@pytest.mark.parametrize(
    "change",
    [
        "update inventory_placement set home = 'inventory', epoch = epoch + 2",
        "update inventory_placement set home = 'inventory'",
        "update inventory_placement set moved_at = now()",
        "delete from inventory_placement",
        "truncate inventory_placement",
    ],
)
def test_the_home_changes_its_row_by_one_epoch_or_not_at_all(pair: Pair, change: str) -> None:
    with as_owner(pair.source) as owner:
        assert refusal(owner, change).sqlstate == FORBIDDEN
        assert owner.execute(pair.objects.query("read")).fetchone() == ("monolith", 0)


def test_who_is_not_home_cannot_hand_over(pair: Pair) -> None:
    with as_owner(pair.target) as owner:
        assert hand_over(pair, owner, to="inventory", epoch=0) == 0
        taken = refusal(owner, "update inventory_placement set home = 'inventory', epoch = 1")
        assert taken.sqlstate == FORBIDDEN
        assert owner.execute(pair.objects.query("read")).fetchone() == ("monolith", 0)


def test_a_switch_that_is_repeated_changes_nothing(pair: Pair) -> None:
    with as_owner(pair.source) as owner:
        owner.execute("select setval('ticket_id_seq', 500)")
        assert hand_over(pair, owner, to="inventory", epoch=0) == 1
        for epoch in (0, 1):
            assert hand_over(pair, owner, to="inventory", epoch=epoch) == 0
        assert owner.execute(pair.objects.query("read")).fetchone() == ("inventory", 1)
        assert owner.execute("select last_value from ticket_id_seq").fetchone() == (500,)


def test_an_arrival_changes_the_row_once_and_no_sequence(pair: Pair) -> None:
    with connect(pair.target) as arriving, as_owner(pair.target) as owner:
        owner.execute("select setval('ticket_id_seq', 500)")
        arriving.execute("set session_replication_role = replica")
        for home, epoch in (("inventory", 3), ("monolith", 2), ("monolith", 3)):
            arriving.execute("update inventory.inventory_placement set home = %s, epoch = %s", [home, epoch])
        assert owner.execute(pair.objects.query("read")).fetchone() == ("inventory", 3)
        assert owner.execute("select last_value from ticket_id_seq").fetchone() == (500,)


def test_the_row_that_a_copy_brings_meets_the_one_that_is_there(pair: Pair) -> None:
    with connect(pair.target) as arriving:
        arriving.execute("set session_replication_role = replica")
        for home, epoch in (("inventory", 2), ("monolith", 1)):
            arriving.execute("insert into inventory.inventory_placement (home, epoch) values (%s, %s)", [home, epoch])
            assert arriving.execute(pair.objects.query("read")).fetchone() == ("inventory", 2)


def test_every_table_and_partition_is_closed_where_the_module_is_not(pair: Pair) -> None:
    prepare(pair)
    with connect(pair.target) as admin:
        found = tables(pair, admin)
    assert {"movement", "movement_2025", "movement_2026", 'Odd "table" %s'} <= set(found)
    with as_owner(pair.target) as owner:
        for table in found:
            name = psycopg.sql.Identifier(table).as_string()
            for change in (f"delete from {name}", f"truncate only {name}", f"truncate {name} cascade"):
                if change.startswith("truncate only") and table in ("movement", "product"):
                    continue  # a parent of partitions and one that foreign keys point to: PostgreSQL itself refuses it
                assert refusal(owner, change).sqlstate == MOVED
        for change in (
            "insert into movement (at, quantity) values ('2026-02-02', 1)",
            "insert into movement_2026 (id, at, quantity) overriding system value values (1, '2026-02-02', 1)",
            "update movement_2025 set quantity = 0",
            "copy movement_2026 from stdin",
            "merge into ticket using (select 1) on false when not matched then insert (writer, number) values (1, 1)",
            "with gone as (delete from ticket returning *) select * from gone",
        ):
            assert refusal(owner, change).sqlstate == MOVED


def test_a_refusal_says_whose_it_is_and_where_the_module_lives(pair: Pair) -> None:
    prepare(pair)
    with as_owner(pair.source) as owner:
        hand_over(pair, owner, to="inventory", epoch=0)
        moved = refusal(owner, "delete from ticket").diag
        assert (moved.schema_name, moved.table_name) == ("inventory", "ticket")
        detail = {"module": "inventory", "unit": "monolith", "home": "inventory", "epoch": 1}
        assert json.loads(moved.message_detail or "") == detail


def test_a_writer_is_refused_at_once_while_the_switch_waits_for_another(pair: Pair) -> None:
    prepare(pair)
    with as_owner(pair.source) as early, as_owner(pair.source) as late, connect(pair.source) as switch:
        early.execute("begin; insert into ticket (writer, number) values (1, 1)")
        with waiting_for_lock(pair, switch):
            in_motion = refusal(late, "insert into ticket (writer, number) values (2, 1)")
            assert in_motion.sqlstate == IN_MOTION
            assert json.loads(in_motion.diag.message_detail or "") == {"module": "inventory", "unit": "monolith"}
            early.execute("insert into ticket (writer, number) values (1, 2); commit")
        late.execute("insert into ticket (writer, number) values (2, 1)")


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_a_snapshot_from_before_the_switch_does_not_write_after_it(pair: Pair, isolation: str) -> None:
    prepare(pair)
    with as_owner(pair.source) as writer, as_owner(pair.source) as owner:
        writer.execute(f"begin isolation level {isolation}; select count(*) from ticket")
        hand_over(pair, owner, to="inventory", epoch=0)
        assert refusal(writer, "insert into ticket (writer, number) values (1, 1)").sqlstate == "40001"


def test_a_writer_needs_no_right_to_the_placement(pair: Pair) -> None:
    prepare(pair)
    with connect(pair.source) as admin:
        for statement in (
            "create role clerk",
            "grant usage on schema inventory to clerk",
            "grant insert on inventory.ticket to clerk",
            "grant usage on sequence inventory.ticket_id_seq to clerk",
        ):
            admin.execute(statement)
        try:
            admin.execute("begin isolation level repeatable read; set local role clerk")
            admin.execute("insert into inventory.ticket (writer, number) values (1, 1); commit")
            owner = admin.execute(
                "select proowner::regrole::text, prosecdef from pg_proc where proname = 'inventory_fence'"
            ).fetchone()
            assert owner == ("shop_inventory", True)
        finally:
            admin.execute("rollback; drop owned by clerk; drop role clerk")


def test_the_switch_gets_its_lock_whatever_hurries_after_one_row(pair: Pair) -> None:
    prepare(pair)
    is_over, written, unexpected = threading.Event(), [0] * HOT_WRITERS, list[str]()

    def hurry(writer: int) -> None:
        with as_owner(pair.source) as owner:
            while not is_over.is_set():
                try:
                    with owner.transaction():
                        if writer % 2:  # has passed the fence while it waits for who has the row and has not
                            owner.execute("update stock set on_hand = on_hand - 1 where product_id = %s", [writer])
                        owner.execute("select 1 from ticket where id = 1 for update")
                        owner.execute("update ticket set number = number + 100 where id = 1")
                    written[writer] += 1
                except psycopg.Error as error:
                    if error.sqlstate != IN_MOTION:
                        unexpected.append(str(error))
                    time.sleep(0.005)

    writers = [threading.Thread(target=hurry, args=(writer,)) for writer in range(HOT_WRITERS)]
    for thread in writers:
        thread.start()
    try:
        with connect(pair.source) as switch:
            for _ in range(10):
                before = sum(written)
                wait_for(partial(_has_grown, written, before + HOT_WRITERS))
                with switch.transaction():
                    switch.execute("set local lock_timeout = '2s'")
                    switch.execute(pair.objects.query("lock"))
    finally:
        is_over.set()
        for thread in writers:
            thread.join()
    assert unexpected == []


def test_no_writer_queues_behind_a_fence_that_waits(pair: Pair) -> None:
    with as_owner(pair.source) as slow, as_owner(pair.source) as other:
        slow.execute("begin; insert into ticket (writer, number) values (1, 0)")
        thread = threading.Thread(target=prepare, args=(pair,))
        thread.start()
        other.execute("set lock_timeout = '3s'")
        tries = 0
        while tries < 5:
            wait_for(lambda: waits_for_table(pair.source))
            other.execute("insert into ticket (writer, number) values (2, %s)", [tries])
            tries += 1
        slow.execute("commit")
        thread.join()
    with connect(pair.source) as admin:
        given = {"schema": pair.schema, "fence": pair.objects.fence}
        assert ("ticket",) in admin.execute(pair.objects.query("fenced"), given).fetchall()


def test_no_writer_queues_behind_a_fence_that_is_taken_away(pair: Pair) -> None:
    prepare(pair)
    with as_owner(pair.source) as slow, as_owner(pair.source) as other, connect(pair.source) as admin:
        slow.execute("begin; insert into ticket (writer, number) values (1, 0)")
        thread = threading.Thread(target=unfence, args=(pair, admin), kwargs={"timeout_s": 60})
        thread.start()
        other.execute("set lock_timeout = '3s'")
        for number in range(5):
            wait_for(lambda: waits_for_table(pair.source, mode="AccessExclusiveLock"))
            other.execute("insert into ticket (writer, number) values (2, %s)", [number])
        slow.execute("commit")
        thread.join()
        given = {"schema": pair.schema, "fence": pair.objects.fence}
        assert admin.execute(pair.objects.query("fenced"), given).fetchall() == []


def test_who_blocks_the_fence_too_long_is_named(pair: Pair) -> None:
    with as_owner(pair.source) as slow, connect(pair.source) as admin:
        slow.execute("begin; insert into ticket (writer, number) values (1, 0)")
        with pytest.raises(Blocked) as blocked:
            fence(pair, admin, timeout_s=0.5)
        assert f"pid {slow.info.backend_pid} of shop_inventory" in str(blocked.value)
        assert f"pg_terminate_backend({slow.info.backend_pid})" in str(blocked.value)


def _has_grown(written: list[int], beyond: int) -> bool:
    return sum(written) > beyond


def refusal(connection: Any, statement: str) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as refused:
        if statement.startswith("copy"):
            with connection.cursor().copy(statement) as copy:
                copy.write_row((1, "2026-02-02", 1))
        else:
            connection.execute(statement)
    return refused.value


def hand_over(pair: Pair, connection: Any, *, to: str, epoch: int) -> int:
    """How many rows it changed."""
    return int(connection.execute(pair.objects.query("hand_over"), {"to": to, "epoch": epoch}).rowcount)


@contextmanager
def waiting_for_lock(pair: Pair, switch: Any) -> Iterator[None]:
    """The exclusive lock is asked for during the `with`, and given back after it."""

    def lock() -> None:
        with switch.transaction():
            switch.execute(pair.objects.query("lock"))

    thread = threading.Thread(target=lock)
    thread.start()
    with connect(pair.source) as admin:
        wait_for(lambda: admin.execute("select from pg_locks where locktype = 'advisory' and not granted").fetchall())
        yield
    thread.join()


def waits_for_table(side: Side, *, mode: str = "ShareRowExclusiveLock") -> bool:
    with connect(side) as admin:
        return bool(
            admin.execute(
                "select from pg_locks where locktype = 'relation' and relation = 'inventory.ticket'::regclass"
                " and not granted and mode = %s",
                [mode],
            ).fetchall()
        )
