import threading
from contextlib import suppress
from typing import Any

import psycopg
import pytest

from extraction.cutover.errors import Away, CutoverError
from extraction.cutover.switch import switch
from extraction.cutover.verify import Memory, Repaired, planned, repair, verify
from extraction.cutover.verify.errors import Unrepairable
from extraction.replicate.pair import Pair, Side
from tests.extraction.conftest import as_owner, connect, join, rows, wait_for
from tests.extraction.test_verify import meddling
from tests.extraction.writers import Writers

HIT = "(7, 8, 9, -5)"


def repaired(pair: Pair, notes: list[dict[str, Any]] | None = None) -> Repaired:
    """Compare, make equal and compare what differed again."""
    ledger = Memory()
    found = verify(pair, ledger=ledger)
    assert not found.equal
    done = repair(pair, found.differing, max_pause_ms=1000, note=([] if notes is None else notes).append)
    again = verify(pair, ledger=ledger)
    assert again.equal, again
    return done


def meddle(side: Side) -> None:
    with meddling(side) as admin:
        admin.execute("update inventory.product set price = 0, picture = null where id in (7, 9)")
        admin.execute("delete from inventory.product where id = 8")
        admin.execute("insert into inventory.product (id, name, price) values (-5, 'extra', 1)")
        admin.execute("update inventory.movement set quantity = 0 where id in (1, 100)")
        admin.execute("delete from inventory.stock where warehouse = 'süd'")
        admin.execute("""update inventory."Odd ""table"" %s" set "select" = 'x%' where "key %" < 4""")


def written(side: Side) -> list[tuple[Any, ...]]:
    """Versions of rows: they change with every write."""
    with connect(side) as admin:
        return [
            *admin.execute(f"select xmin::text, * from inventory.product where id in {HIT} order by id").fetchall(),
            *admin.execute("select xmin::text, * from inventory.movement where id in (1, 100) order by id").fetchall(),
        ]


@pytest.mark.parametrize("home", ["monolith", "inventory"])
def test_makes_rows_equal_while_writers_write_and_sends_nothing_home(pair: Pair, home: str) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("alter table product add column doubled numeric generated always as (price * 2) stored")
    join(pair)
    notes = list[dict[str, Any]]()
    with Writers(pair) as writers:
        if home == "inventory":
            switch(pair, to=home)
        meddle(pair.other(home))
        before = written(pair.side(home))
        done = repaired(pair, notes)
    assert done == Repaired(inserted=21, updated=7, deleted=1)
    writers.check()
    assert written(pair.side(home)) == before
    assert {note["in"] for note in notes} == {pair.other(home).unit}
    assert {key for note in notes for key in note["keys"] if note["table"] == "product"} == {
        "{7}",
        "{8}",
        "{9}",
        "{-5}",
    }
    with connect(pair.other(home)) as admin:
        assert admin.execute("select from pg_replication_origin where roname like '%_tool'").fetchone() is None


def test_overwrites_nothing_that_is_newer(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = -1 where id <= 100")
    ended, counts = threading.Event(), [0]

    def write() -> None:
        with as_owner(joined.source) as owner:
            while not ended.is_set():
                with suppress(psycopg.DatabaseError):  # in motion
                    owner.execute("update inventory.product set price = price + 1 where id between 40 and 60")
                    counts[0] += 1

    found = verify(joined)
    writer = threading.Thread(target=write)
    writer.start()
    wait_for(lambda: counts[0] > 10)
    try:
        repair(joined, found.differing, max_pause_ms=1000, note=lambda _: None)
    finally:
        ended.set()
        writer.join()
    assert verify(joined).equal
    assert rows(joined.source, "product") == rows(joined.target, "product")


def test_takes_first_what_holds_a_value_that_must_be_unique(joined: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extraction.cutover.verify.repairing.BATCH", 1)
    with meddling(joined.target) as target:
        target.execute("update inventory.ticket set id = id + 100 where id <= 3")
    assert repaired(joined) == Repaired(inserted=3, deleted=3)


def test_says_what_it_would_do(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = 0 where id = 7")
        target.execute("delete from inventory.product where id = 8")
        target.execute("insert into inventory.product (id, name, price) values (1001, 'extra', 1)")
        target.execute("delete from inventory.reservation")
    sentences = list(planned(verify(joined).tables, home="monolith"))
    assert sentences[:3] == [
        "product: update price where id = 7",
        "product: insert where id = 8",
        "product: delete where id = 1001",
    ]
    assert sentences[-1] == "reservation: and 80 rows more"


def test_refuses_rows_that_cannot_be_told_apart(pair: Pair) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create table note (text text); alter table note replica identity full")
    with as_owner(pair.source) as owner:
        owner.execute("insert into note values ('once')")
    join(pair)
    with meddling(pair.target) as target:
        target.execute("delete from inventory.note")
    with pytest.raises(Unrepairable, match=r"note has no key .* by hand, then run: manage.py extract verify inventory"):
        repair(pair, verify(pair).differing, max_pause_ms=1000, note=lambda _: None)


def test_leaves_rows_whose_unique_values_were_exchanged_as_they_are(
    joined: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("extraction.cutover.verify.repairing.BATCH", 1)
    with meddling(joined.target) as target:
        target.execute("update inventory.ticket set number = -number where id in (1, 2)")
        target.execute("update inventory.ticket set number = 3 + number where id in (1, 2)")
    before = rows(joined.target, "ticket")
    with pytest.raises(Unrepairable, match=r"rows of ticket cannot be made equal one by one \(duplicate key"):
        repair(joined, verify(joined).differing, max_pause_ms=1000, note=lambda _: None)
    assert rows(joined.target, "ticket") == before
    monkeypatch.undo()
    assert repaired(joined) == Repaired(updated=2)


def test_tries_again_after_a_batch_has_overrun_its_pause(pair: Pair) -> None:
    with connect(pair.target) as admin:
        admin.execute("create table public.slow (n int)")
        admin.execute("""create function public.slow() returns trigger language plpgsql as
                         $$ begin perform pg_sleep(2) from public.slow; return new; end $$""")
        admin.execute("create trigger slow before insert on inventory.product for each row execute function slow()")
    join(pair)
    with meddling(pair.target) as target:
        target.execute("update inventory.product set price = 0 where id = 7")
        target.execute("insert into public.slow values (1)")
    with connect(pair.target) as admin:
        admin.execute(f"set extraction.ddl = '{pair.id}'")
        admin.execute("alter table inventory.product enable replica trigger slow")
    said = list[str]()

    def tell(sentence: str) -> None:
        said.append(sentence)
        if "were not written within the pause" in sentence:
            with connect(pair.target) as admin:
                admin.execute("delete from public.slow")

    done = repair(pair, verify(pair).differing, max_pause_ms=500, note=lambda _: None, tell=tell)
    assert done == Repaired(updated=1)
    assert any("were not written within the pause" in sentence for sentence in said)
    assert rows(pair.source, "product") == rows(pair.target, "product")


def test_writes_nothing_once_writers_are_no_longer_held(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = -1 where id = 7")
    found, failed = verify(joined).differing, list[Exception]()

    def mend() -> None:
        try:
            repair(joined, found, max_pause_ms=20_000, note=lambda _: None)
        except CutoverError as error:
            failed.append(error)

    with meddling(joined.target) as target:
        target.execute("select from inventory.product where id = 7 for update")
        repairing = threading.Thread(target=mend)
        repairing.start()
        with connect(joined.source) as admin, connect(joined.target) as watcher:
            wait_for(
                lambda: watcher.execute(
                    "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
                ).fetchone()
            )
            ended = admin.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                "and application_name like 'extract inventory%' and state = 'idle in transaction'"
            ).fetchall()
        target.execute("rollback; begin")
        repairing.join()
    assert len(ended) == 1
    assert [type(error) for error in failed] == [Away]
    assert [price for number, _, price, *_ in rows(joined.target, "product") if number == 7] == [-1]
