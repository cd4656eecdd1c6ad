import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import Connection

from extraction.cutover.errors import Away, NotFollowing
from extraction.cutover.switch import switch
from extraction.cutover.verify import (
    Difference,
    Memory,
    Sample,
    TableResult,
    Verification,
    chunks,
    repair,
    repairing,
    run,
    snapshots,
    verify,
)
from extraction.cutover.verify.errors import Stale, Unrepairable
from extraction.cutover.verify.tables import tables
from extraction.replicate.pair import Pair, Side
from tests.extraction.conftest import as_owner, connect, join
from tests.extraction.writers import Writers


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a table of the tests has many."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 2048)


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
        differing=3,
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


def test_names_the_first_twenty_of_many_and_counts_all(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = price + 1 where id > 2")
        target.execute("delete from inventory.product where id in (1, 2)")
    found = result(verify(joined), "product")
    assert found.differing == 200
    differences = found.differences[2:]
    assert {each.only_in for each in found.differences[:2]} == {"monolith"}
    assert len({each.key["id"] for each in differences}) == 18
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
        "note", 3, 2, (Difference({"text": "twice"}, only_in="monolith"),), differing=1
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
            admin.execute(f"alter database {admin.info.dbname} set transaction_timeout = '500ms'")
    assert verify(joined, max_pause_ms=5000, max_rows_s=80_000).equal


def test_refuses_tables_of_different_columns(joined: Pair) -> None:
    with as_owner(joined.target) as owner:
        owner.execute("alter table product add column colour text")
    with pytest.raises(NotFollowing, match=r"table product differs .*: manage.py extract verify inventory"):
        verify(joined)


def borders(pair: Pair, name: str) -> list[tuple[str, ...]]:
    """Between the chunks of this table, as a comparison of its own would draw them."""
    with connect(pair.source) as source, connect(pair.target) as target:
        (table,) = [table for table in tables(pair, source, target, "") if table.name == name]
        return [chunk.upto for chunk in chunks.chunks(table, source, seed=0) if chunk.upto]


def test_finds_every_row_in_every_chunk(joined: Pair, small_chunks: None) -> None:
    (border,) = borders(joined, "product")[1]
    at = int(border)
    assert 1 < at < 199
    with meddling(joined.target) as target:
        target.execute("update inventory.product set picture = null where id = any (%s)", [[1, at, 200]])
        target.execute("delete from inventory.product where id = any (%s)", [[2, at + 1, 199]])
        target.execute("insert into inventory.product (id, name, price) values (-7, 'x', 1), (1000000000000, 'x', 1)")
    found = result(verify(joined), "product")
    assert {(each.key["id"], each.only_in, each.columns) for each in found.differences} == {
        ("-7", "inventory", ()),
        ("1", "", ("picture",)),
        ("2", "monolith", ()),
        (str(at), "", ("picture",)),
        (str(at + 1), "monolith", ()),
        ("199", "monolith", ()),
        ("200", "", ("picture",)),
        ("1000000000000", "inventory", ()),
    }
    assert found.differing == 8


KEYS = {
    "by_uuid": ("uuid", "gen_random_uuid()", ""),
    "by_negative": ("int", "-n", ""),
    "by_moment": ("timestamptz", "timestamptz '2026-01-01 00:00+02' + n * interval '1 hour 1 microsecond'", ""),
    "by_locale": ("text", "'ä' || chr(65 + n % 26) || n", 'collate "pg_unicode_fast"'),
    "by_bytes": ("bytea", "decode(md5(n::text), 'hex')", ""),
    "by_number": ("numeric", "n / 7.0", ""),
    "by_size": ("inventory.size", "(array['small', 'middle', 'large'])[n]::inventory.size", ""),
}
"""Type, value and collation."""


def test_compares_keys_of_every_type_by_range_where_both_sides_sort_alike(pair: Pair, small_chunks: None) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create type size as enum ('small', 'middle', 'large')")
            for name, (kind, _, collation) in KEYS.items():
                owner.execute(f"create table {name} (key {kind} {collation} primary key, note text)")
            locale = "C" if side == pair.source else "pg_unicode_fast"
            owner.execute(f'create table by_other_locale (key text collate "{locale}" primary key, note text)')
            owner.execute("create table by_two (a text, b int, note text, primary key (b, a))")
    with as_owner(pair.source) as owner:
        for name, (_, value, _) in KEYS.items():
            count = 3 if name == "by_size" else 300
            owner.execute(f"insert into {name} select {value}, nullif(n % 3, 0) from generate_series(1, {count}) n")
        owner.execute("insert into by_other_locale select chr(65 + n % 26) || n, n from generate_series(1, 300) n")
        owner.execute("insert into by_two select chr(65 + n % 26), n / 26, null from generate_series(1, 300) n")
    ranged = {*KEYS, "by_two"} - {"by_size"}
    assert {name for name in (*KEYS, "by_two", "by_other_locale") if borders(pair, name)} == ranged
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("drop table by_other_locale")
    assert verify(join(pair)).equal

    names = [*KEYS, "by_two"]
    with meddling(pair.target) as target:
        for name in names:
            target.execute(
                f"update inventory.{name} set note = '' where ctid = (select max(ctid) from inventory.{name})"
            )
    found = verify(pair)
    for name in names:
        table = result(found, name)
        assert (table.differing, table.differences[0].columns) == (1, ("note",)), table


VALUES = (
    ("a bigint", "1", "4294967296"),
    ("b numeric", "1.0", "1.00"),
    ("c numeric", "5", "-5"),
    ("d text", "null", "''"),
    ("e double precision", "0", "'-0'"),
    ("""f json""", """'{"a": 1, "b": 2}'""", """'{"b": 2, "a": 1}'"""),
    ("g jsonb", "'1.0'", "'1.00'"),
    ("h numeric[]", "array[1.0]", "array[1.00]"),
    ("i interval", "'24 hours'", "'1 day'"),
    ("j char(3)", "'a'", "'b'"),
    ("k timestamptz", "'epoch'", "'1970-01-01 01:11:34.967296+00'"),
    ("l int4range", "'[1,2)'", "'empty'"),
    ("m text[]", "array[null]", "array['NULL']"),
)
"""Column and two values that are different, however much they look, or hash, alike."""


@pytest.mark.parametrize("hashes_alike", [True, False])
def test_sees_values_that_look_alike(pair: Pair, hashes_alike: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute(f"create table alike (id int primary key, {', '.join(column for column, *_ in VALUES)})")
    with as_owner(pair.source) as owner:
        owner.execute(
            f"insert into alike select n, {', '.join(value for _, value, _ in VALUES)} from generate_series(0, 40) n"
        )
    if not hashes_alike:
        other = lambda *given: [dataclasses.replace(table, is_binary=False) for table in tables(*given)]  # noqa: E731
        monkeypatch.setattr(run, "tables", other)
    join(pair)
    assert verify(pair).equal
    names = [column.split()[0] for column, *_ in VALUES]
    with meddling(pair.target) as target:
        for number, (name, (*_, value)) in enumerate(zip(names, VALUES, strict=True)):
            target.execute(f"update inventory.alike set {name} = {value} where id = {number}")
    found = result(verify(pair), "alike")
    assert [(each.key["id"], each.columns) for each in found.differences] == [
        (str(number), (name,)) for number, name in enumerate(names)
    ]


def test_sees_two_rows_that_have_exchanged_a_value(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.reservation set quantity = 6 - quantity where quantity in (2, 4)")
        target.execute(
            "update inventory.product set name = 'product ' || 33 - id where id in (11, 22)",
        )
    found = verify(joined)
    assert [each.key["id"] for each in result(found, "product").differences] == ["11", "22"]
    assert result(found, "reservation").differing == 40


def test_renews_its_snapshots_while_writers_write(joined: Pair, small_chunks: None) -> None:
    ages: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        query = """select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float
                   from pg_stat_activity where application_name like 'extract inventory%'"""
        with connect(joined.source) as admin:
            while not ended.wait(0.05):
                ages.append(admin.execute(query).fetchone()[0])  # type: ignore[index]

    watcher = threading.Thread(target=watch)
    watcher.start()
    with Writers(joined) as writers:
        try:
            found = verify(joined, max_snapshot_s=1, max_rows_s=150)
        finally:
            ended.set()
            watcher.join()
    assert found.equal, found
    assert found.snapshots >= 2
    assert found.last_at > found.first_at
    assert max(ages) < found.took_s / 2
    writers.check()


class Enough(Exception):
    """Somebody asked to stop."""


def test_goes_on_where_it_was_stopped(joined: Pair, small_chunks: None) -> None:
    ledger, said = Memory(), list[str]()

    def stop(sentence: str) -> None:
        said.append(sentence)
        if len(said) > 12:
            raise Enough

    with pytest.raises(Enough):
        verify(joined, ledger=ledger, tell=stop, max_rows_s=100, workers=1)
    known = ledger.begin(ledger._identity)
    assert any(found is None for chunks in known.values() for _, found in chunks)
    kept = [chunk for chunk, found in known["movement"] if found and chunk.upto]
    with meddling(joined.target) as target:
        target.execute("update inventory.movement set quantity = -1 where id = %s", [kept[0].upto[0]])  # type: ignore[index]

    rest = verify(joined, ledger=ledger)

    assert rest.equal
    assert rest.chunks_kept > 0
    assert rest.first_at < rest.last_at
    assert rest.rows == sum(table.rows_target for table in rest.tables) == 503
    assert result(verify(joined, ledger=ledger), "movement").differing == 1, "what is done begins anew"


def test_begins_anew_once_the_module_has_moved(joined: Pair) -> None:
    ledger = Memory()
    with meddling(joined.target) as target:
        target.execute("delete from inventory.product where id = 9")
    assert not verify(joined, ledger=ledger).equal
    assert verify(joined, ledger=ledger).chunks_kept == 5
    switch(joined, to="inventory")
    assert verify(joined, ledger=ledger).chunks_kept == 0


def test_a_sample_is_drawn_by_its_seed(joined: Pair, small_chunks: None) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = 0 where id = 100")
    found = [verify(joined, sample=Sample(20, seed)) for seed in (1, 1, 2, 3, 4, 5, 6, 7)]
    assert {each.equal for each in found} == {True, False}
    assert found[0].tables == found[1].tables
    sampled, every = found[0].chunks_sampled, found[0].chunks
    assert sampled is not None
    assert sampled < every / 2


def test_empty_tables_are_equal(pair: Pair) -> None:
    with as_owner(pair.source) as owner:
        owner.execute('truncate product, reservation, stock, movement, ticket, "Odd ""table"" %s"')
    found = verify(join(pair))
    assert found.equal
    assert found.rows == 0
    with meddling(pair.target) as target:
        target.execute("insert into inventory.ticket (writer, number) values (1, 1)")
    assert result(verify(pair), "ticket").differences == (Difference({"id": "1"}, only_in="inventory"),)


def test_refuses_a_table_that_only_one_side_has(joined: Pair) -> None:
    with as_owner(joined.source) as owner:
        owner.execute("create table late (id int primary key)")
    with pytest.raises(NotFollowing, match=r"inventory has no table late.*: manage.py extract verify inventory"):
        verify(joined)


def test_says_which_side_went_away(joined: Pair, small_chunks: None) -> None:
    ended = []

    def end(sentence: str) -> None:
        if sentence.startswith("snapshots"):
            with connect(joined.target) as admin:
                ended.extend(
                    admin.execute(
                        "select pg_terminate_backend(pid) from pg_stat_activity "
                        "where application_name like 'extract inventory%' and datname = current_database()"
                    ).fetchall()
                )

    with pytest.raises(Away, match="the database of inventory does not answer"):
        verify(joined, tell=end)
    assert ended


def test_the_faster_side_waits_for_the_slower_one(joined: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "SPARE_S", 0)
    released = threading.Event()

    def hold() -> None:
        with connect(joined.target) as admin, admin.transaction():
            admin.execute("lock table inventory.ticket")
            held.set()
            released.wait(4)

    held = threading.Event()
    holder = threading.Thread(target=hold)

    def tell(sentence: str) -> None:
        if sentence.startswith("snapshots") and not held.is_set():
            holder.start()
            held.wait()

    try:
        assert verify(joined, max_snapshot_s=2, workers=1, tell=tell).equal
    finally:
        released.set()
        holder.join()


def test_says_so_when_its_snapshots_were_ended_while_it_was_frozen(
    joined: Pair, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SPARE_S", 0)

    def freeze(sentence: str) -> None:
        if not sentence:
            time.sleep(2)

    with pytest.raises(Stale, match=r"what was found equal is kept\. Run: manage.py extract verify inventory"):
        verify(joined, max_snapshot_s=1, max_rows_s=50, workers=1, tell=freeze)


def test_says_that_both_sides_differ_before_it_ends(joined: Pair) -> None:
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = 0 where id = 7")
    found = list[str]()

    def stop(sentence: str) -> None:
        if found:
            raise Enough

    with pytest.raises(Enough):
        verify(joined, differs=lambda: found.append("differs"), tell=stop)


def test_counts_all_rows_and_keeps_the_keys_of_as_many_as_are_repaired(
    joined: Pair, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "MOST_KEYS", 7)
    monkeypatch.setattr(repairing, "MOST_KEYS", 7)
    with meddling(joined.target) as target:
        target.execute("update inventory.product set price = price + 1")
        target.execute("delete from inventory.reservation")
    found = verify(joined)
    assert (result(found, "product").differing, result(found, "reservation").differing) == (200, 100)
    assert len(result(found, "product").differences) == 20
    assert sum(len(part.unlike) for _, part in found.differing) == 7
    with pytest.raises(Unrepairable, match="300 rows of inventory differ, and 7 are the most"):
        repair(joined, found.differing, max_pause_ms=1000, note=lambda _: None)


@pytest.mark.parametrize(
    ("kind", "value"),
    [("char(8)", "'x' || lpad(n::text, 6, '0')"), ("bit(16)", "n::bit(16)")],
)
def test_parts_of_keys_of_a_fixed_length_are_of_one_size(pair: Pair, small_chunks: None, kind: str, value: str) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute(f"create table fixed (key {kind} primary key, note text)")
    with as_owner(pair.source) as owner:
        owner.execute(f"insert into fixed select {value} from generate_series(1, 300) n")
    with connect(pair.source) as source, connect(pair.target) as target:
        (table,) = [table for table in tables(pair, source, target, "") if table.name == "fixed"]
        parts = [part.within(table) for part in chunks.chunks(table, source, seed=0)]
        counts = [len(source.execute(table.query("rows", within=within)).fetchall()) for within in parts]
    assert len(counts) > 3
    assert sum(counts) == 300
    assert max(counts) < 150
