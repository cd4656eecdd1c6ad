from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import Connection

from extraction.cutover.compare import Difference, TableResult
from extraction.cutover.errors import NotFollowing
from extraction.cutover.switch import switch
from extraction.cutover.verify import Verification, verify
from extraction.replicate.pair import Pair, Side
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import as_owner, connect
from tests.extraction.writers import Writers


@pytest.fixture
def joined(pair: Pair) -> Pair:
    """Both sides follow each other."""
    return join(pair)


def join(pair: Pair) -> Pair:
    prepare(pair)
    start(pair)
    follow(pair, tell=print, timeout_s=60)
    return pair


@contextmanager
def meddling(side: Side) -> Iterator[Connection[Any]]:
    """Write behind the fence, and so that nothing of it is sent to the other side."""
    with connect(side) as admin:
        admin.execute("select pg_replication_origin_create('meddling')")
        try:
            admin.execute("select pg_replication_origin_session_setup('meddling')")
            admin.execute("set session_replication_role = replica")
            with admin.transaction():
                yield admin
        finally:
            admin.execute("select pg_replication_origin_session_reset()")
            admin.execute("select pg_replication_origin_drop('meddling')")


def result(verification: Verification, table: str) -> TableResult:
    return next(each for each in verification.tables if each.table == table)


def test_finds_both_sides_equal_while_writers_write(joined: Pair) -> None:
    with Writers(joined) as writers:
        for _ in range(5):
            found = verify(joined)
            assert found.equal, found
        written = len(writers.acknowledged)
    assert written > 0
    assert [each.table for each in found.tables] == [
        'Odd "table" %s',
        "movement",
        "product",
        "reservation",
        "stock",
        "ticket",
    ]
    writers.check()


def test_names_rows_that_are_changed_missing_and_added(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = 0, picture = null where id = 7")
        target.execute("delete from inventory.product where id = 8")
        target.execute("insert into inventory.product (id, name, price) values (1001, 'extra', 1)")
    found = verify(joined)
    assert not found.equal
    assert result(found, "product") == TableResult(
        "product",
        200,
        200,
        (
            Difference({"id": "7"}, columns=("price", "picture")),
            Difference({"id": "8"}, only_in="monolith"),
            Difference({"id": "1001"}, only_in="inventory"),
        ),
    )
    assert [each.table for each in found.tables if not each.is_equal] == ["product"]


def test_names_rows_of_composite_keys_partitions_and_odd_names(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.stock set on_hand = 1 where warehouse = 'süd' and product_id = 3")
        target.execute("update inventory.movement set quantity = 0 where id = 100")
        target.execute("""update inventory."Odd ""table"" %s" set "select" = '' where "key %" = 2""")
    found = verify(joined)
    assert result(found, "stock").differences == (
        Difference({"warehouse": "süd", "product_id": "3"}, columns=("on_hand",)),
    )
    assert result(found, "movement").differences == (
        Difference({"id": "100", "at": "2026-03-28 00:00:00+00"}, columns=("quantity",)),
    )
    assert result(found, 'Odd "table" %s').differences == (Difference({"key %": "2"}, columns=("select",)),)


def test_names_rows_after_the_module_has_moved(joined: Pair) -> None:
    switch(joined, to="inventory")
    with meddling(joined.source) as source:
        source.execute("delete from inventory.product where id = 9")
    assert result(verify(joined), "product").differences == (Difference({"id": "9"}, only_in="inventory"),)


def test_names_the_first_twenty_of_many(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = price + 1")
    differences = result(verify(joined), "product").differences
    assert len({each.key["id"] for each in differences}) == 20
    assert {each.columns for each in differences} == {("price",)}


def test_finds_one_row_among_many(pair: Pair) -> None:
    with as_owner(pair.source) as owner:
        owner.execute("insert into product (name, price) select 'many', n from generate_series(1, 50000) n")
    join(pair)
    with meddling(pair.target) as target:
        target.execute("update inventory.product set name = 'other' where id = 33333")
    assert result(verify(pair), "product").differences == (Difference({"id": "33333"}, columns=("name",)),)


def test_counts_equal_rows_of_a_table_without_a_key(pair: Pair) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create table note (text text); alter table note replica identity full")
    with as_owner(pair.source) as owner:
        owner.execute("insert into note values ('twice'), ('twice'), ('once')")
    join(pair)
    assert verify(pair).equal
    with meddling(pair.target) as target:
        target.execute("delete from inventory.note where ctid = (select min(ctid) from inventory.note)")
    assert result(verify(pair), "note") == TableResult(
        "note", 3, 2, (Difference({"text": "twice"}, only_in="monolith"),)
    )


def test_settings_of_a_side_make_no_difference(joined: Pair) -> None:
    with connect(joined.target) as target:
        name = target.info.dbname
        for setting in ("timezone = 'Asia/Tokyo'", "datestyle = 'German'", "bytea_output = 'escape'"):
            target.execute(f"alter database {name} set {setting}")
        target.execute(f"alter database {name} set extra_float_digits = 0")
    assert verify(joined).equal


def test_takes_longer_than_a_transaction_of_the_application_may(joined: Pair) -> None:
    with as_owner(joined.source) as owner:
        owner.execute("insert into product (name, price) select 'many', n from generate_series(1, 100000) n")
    for side in (joined.source, joined.target):
        with connect(side) as admin:
            admin.execute(f"alter database {admin.info.dbname} set transaction_timeout = '50ms'")
    assert verify(joined, max_pause_ms=2000).equal


def test_refuses_tables_of_different_columns(joined: Pair) -> None:
    with as_owner(joined.target) as owner:
        owner.execute("alter table product add column colour text")
    with pytest.raises(NotFollowing, match=r"table product differs .*: manage.py extract verify inventory"):
        verify(joined)
