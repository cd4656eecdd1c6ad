import json
import signal
import subprocess
import threading
from contextlib import closing
from dataclasses import replace
from typing import Any

import psutil
import psycopg
import pytest
from psycopg import Connection

from extraction.cutover.errors import Away, Behind, Busy, Copied, NotFollowing, Overtaken, UnknownFailpoint
from extraction.cutover.failpoints import VARIABLE, failpoint
from extraction.cutover.sequences import GAP, Position, Sequence, beyond
from extraction.cutover.switch import Switch, switch
from extraction.cutover.verify import verify
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import is_complete
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.cable import Cable
from tests.extraction.conftest import Servers, as_owner, connect, wait_for
from tests.extraction.coordinator import coordinator
from tests.extraction.writers import Writers

PRODUCT = "insert into product (name, price) values ('one more', 1)"
WITH_LOCK = """
  select pid from pg_locks
  where locktype = 'advisory' and mode = 'ExclusiveLock' and granted = %s
    and database = (select oid from pg_database where datname = current_database())"""


def place(pair: Pair, side: Side) -> Any:
    with connect(side) as admin:
        return admin.execute(pair.objects.query("read")).fetchone()


def places(pair: Pair) -> list[Any]:
    return [place(pair, side) for side in (pair.source, pair.target)]


def can_write(side: Side) -> bool:
    try:
        with as_owner(side) as owner:
            owner.execute(PRODUCT)
    except psycopg.Error as error:
        if error.sqlstate in ("MV001", "MV002"):
            return False
        raise
    return True


def holders(side: Side, *, granted: bool = True) -> list[int]:
    """Who has, or waits for, the lock of a switch."""
    with connect(side) as admin:
        return [pid for (pid,) in admin.execute(WITH_LOCK, (granted,)).fetchall()]


def age_ms(connection: Connection[Any]) -> float:
    """Of its transaction."""
    row = connection.execute("select extract(epoch from clock_timestamp() - now()) * 1000").fetchone()
    return float(row[0]) if row else 0.0


def stopped(process: subprocess.Popen[str]) -> bool:
    """Whether it has reached a failpoint that stops it."""
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The Switch that the process printed."""
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    return dict(json.loads(printed))


def test_moves_there_and_back(joined: Pair) -> None:
    there = switch(joined, to="inventory")
    assert (there.from_unit, there.to_unit, there.epoch) == ("monolith", "inventory", 1)
    assert 0 < there.lock_to_commit_ms <= there.lock_to_open_ms
    assert there.began_at < there.opened_at
    assert not can_write(joined.source)
    assert can_write(joined.target)
    assert switch(joined, to="monolith").epoch == 2
    assert can_write(joined.source)
    assert not can_write(joined.target)
    assert verify(joined).equal


def test_rows_get_numbers_that_were_never_given(joined: Pair) -> None:
    for home, to in (("monolith", "inventory"), ("inventory", "monolith"), ("monolith", "inventory")):
        with as_owner(joined.side(home)) as owner:
            for _ in range(3):
                owner.execute("insert into product (name, price) values ('numbered', 1)")
                owner.execute("insert into ticket (writer, number) select 1, count(*) from ticket")
                owner.execute("insert into movement (at, quantity) values ('2026-01-01 00:00+00', 1)")
            drawn = owner.execute("select nextval('product_id_seq')").fetchone()
        switch(joined, to=to)
        with as_owner(joined.side(to)) as owner:
            # Drawn before the switch, and used after it by somebody who followed the module.
            owner.execute("insert into product (id, name, price) values (%s, 'drawn before', 1)", drawn)
            for _ in range(3):
                owner.execute("insert into product (name, price) values ('numbered', 1)")
    assert verify(joined).equal


def test_a_repeated_switch_changes_nothing_and_says_so(joined: Pair) -> None:
    switch(joined, to="inventory")
    with as_owner(joined.target) as owner:
        first = [owner.execute(PRODUCT + " returning id").fetchone() for _ in range(50)]
    told: list[str] = []
    again = switch(joined, to="inventory", tell=told.append)
    assert (again.attempts, again.epoch) == (0, 1)
    assert told == ["inventory lives in inventory already, since epoch 1"]
    with as_owner(joined.target) as owner:
        second = [owner.execute(PRODUCT + " returning id").fetchone() for _ in range(50)]
    assert len({*first, *second}) == 100


def test_refuses_a_table_that_came_after_the_stream_before_anybody_is_held_up(joined: Pair) -> None:
    for side in (joined.source, joined.target):
        with as_owner(side) as owner:
            owner.execute("create table late (id int primary key)")
    # It would die with the lock.
    with coordinator(joined, failpoint="cutover.locked", to="inventory") as process:
        printed, _ = process.communicate(timeout=60)
    assert printed.startswith("NotFollowing: inventory is not replicated whole: monolith: table late has no fence")
    assert "run: manage.py extract replicate inventory" in printed
    assert places(joined) == [("monolith", 0)] * 2


def test_refuses_a_table_that_came_while_the_lock_was_awaited(joined: Pair) -> None:
    refused: list[NotFollowing] = []

    def attempt() -> None:
        try:
            switch(joined, to="inventory", max_pause_ms=6000, attempts=1)
        except NotFollowing as error:
            refused.append(error)

    attempting = threading.Thread(target=attempt)
    with as_owner(joined.source) as owner, owner.transaction():
        owner.execute(PRODUCT)
        attempting.start()
        wait_for(lambda: holders(joined.source, granted=False))
        with as_owner(joined.source) as other:
            other.execute("create table late (id int primary key)")
    attempting.join()
    assert "table late has no fence" in str(refused[0])
    assert places(joined) == [("monolith", 0)] * 2


def test_refuses_while_a_table_is_still_copied(joined: Pair) -> None:
    for side in (joined.source, joined.target):
        with as_owner(side) as owner:
            owner.execute("create table late (id int primary key)")
    with as_owner(joined.source) as owner:
        owner.execute("insert into late values (1)")
    prepare(joined)
    with connect(joined.target) as blocker, blocker.transaction():
        blocker.execute("lock table inventory.late in share mode")
        start(joined)
        with pytest.raises(NotFollowing, match=r"table late does not follow yet \(state [id]\)"):
            switch(joined, to="inventory")
    follow(joined, tell=print, timeout_s=60)
    assert switch(joined, to="inventory").epoch == 1
    with connect(joined.target) as target:
        assert target.execute("select count(*) from inventory.late").fetchone() == (1,)


@pytest.mark.parametrize("which", ["source", "target"])
def test_waits_for_streams_that_connect_again_after_a_restart(joined: Pair, servers: Servers, which: str) -> None:
    server = getattr(servers, which)
    server.stop()
    server.start()
    assert switch(joined, to="inventory").epoch == 1


@pytest.mark.parametrize("behind", ["source", "target"])
def test_refuses_while_one_side_lacks_a_column(joined: Pair, behind: str) -> None:
    with as_owner(joined.target if behind == "source" else joined.source) as owner:
        owner.execute("alter table product add column colour text default 'red'")
    with pytest.raises(NotFollowing, match=r"table product differs between monolith and inventory \(colour text\)"):
        switch(joined, to="inventory")
    assert places(joined) == [("monolith", 0)] * 2


def test_waits_within_the_pause_for_a_large_insert_that_was_just_committed(joined: Pair) -> None:
    with as_owner(joined.source) as owner:
        owner.execute("insert into product (name, price) select 'large', n from generate_series(1, 200000) n")
    moved = switch(joined, to="inventory", max_pause_ms=300)
    with connect(joined.target) as target:
        assert target.execute("select count(*) from inventory.product where name = 'large'").fetchone() == (200_000,)
    assert moved.lock_to_commit_ms <= 300
    assert can_write(joined.target)


def test_names_a_long_transaction(joined: Pair) -> None:
    with as_owner(joined.source) as owner, owner.transaction():
        owner.execute(PRODUCT)
        told: list[str] = []
        with pytest.raises(Busy, match=rf"pid {owner.info.backend_pid} of shop_inventory .*open for \d+ ms") as refused:
            switch(joined, to="inventory", max_pause_ms=100, attempts=3, tell=told.append)
        assert str(refused.value).endswith("run: manage.py extract cutover inventory")
        assert len(told) == 2
    assert places(joined) == [("monolith", 0)] * 2
    assert switch(joined, to="inventory", max_pause_ms=100).epoch == 1


def test_refuses_a_long_transaction_without_holding_others_up(joined: Pair) -> None:
    refused: list[Busy] = []

    def attempt() -> None:
        try:
            switch(joined, to="inventory", max_pause_ms=2000, attempts=1)
        except Busy as error:
            refused.append(error)

    with as_owner(joined.source) as owner, owner.transaction():
        owner.execute(PRODUCT)
        wait_for(lambda: age_ms(owner) > 1000)
        attempting = threading.Thread(target=attempt)
        attempting.start()
        while attempting.is_alive():
            assert can_write(joined.source)
    assert refused


def test_names_who_holds_the_stream_up_on_the_other_side(joined: Pair) -> None:
    with connect(joined.target) as blocker, blocker.transaction():
        blocker.execute("lock table inventory.inventory_heartbeat in exclusive mode")
        with pytest.raises(Behind, match=f"there it waits for pid {blocker.info.backend_pid} of postgres"):
            switch(joined, to="inventory", attempts=2)
        assert places(joined) == [("monolith", 0)] * 2
        assert can_write(joined.source)


def test_gives_the_lock_back_when_the_other_side_falls_behind_under_it(joined: Pair) -> None:
    """What is proven before the lock does not stay true: the proof under the lock counts."""
    refused: list[Exception] = []

    def attempt() -> None:
        try:
            switch(joined, to="inventory", max_pause_ms=6000, attempts=1)
        except Behind as error:
            refused.append(error)

    attempting = threading.Thread(target=attempt)
    with connect(joined.target) as blocker:
        with as_owner(joined.source) as owner, owner.transaction():
            owner.execute(PRODUCT)
            attempting.start()
            wait_for(lambda: holders(joined.source, granted=False))
            blocker.execute("begin; lock table inventory.inventory_heartbeat in exclusive mode")
        attempting.join()
        assert "did not arrive in inventory" in str(refused[0])
        assert place(joined, joined.source) == ("monolith", 0)
        assert can_write(joined.source)


def test_ends_a_session_whose_lock_keeps_the_new_home_closed(joined: Pair) -> None:
    with closing(connect(joined.target)) as idle:
        idle.execute("begin; select from inventory.inventory_placement for update")
        told: list[str] = []
        assert switch(joined, to="inventory", tell=told.append).epoch == 1
        assert told == [
            f"ended pid {idle.info.backend_pid} of postgres (unnamed), whose lock keeps inventory closed",
        ]
    assert can_write(joined.target)


def test_a_sequence_near_its_end_does_not_stop_the_switch(joined: Pair) -> None:
    with as_owner(joined.source) as owner:
        owner.execute("select setval('ticket_id_seq', 32760)")
    switch(joined, to="inventory")
    with as_owner(joined.target) as owner:
        for number in range(7):
            owner.execute("insert into ticket (writer, number) values (2, %s)", (number,))
        with pytest.raises(psycopg.errors.SequenceGeneratorLimitExceeded):
            owner.execute("insert into ticket (writer, number) values (2, 7)")


def test_a_sequence_that_ends_earlier_on_the_other_side_is_refused_before_the_commit(joined: Pair) -> None:
    with as_owner(joined.target) as owner:
        owner.execute("alter sequence product_id_seq maxvalue 100")
    with pytest.raises(NotFollowing, match=r"product_id_seq.*run: manage.py extract cutover inventory"):
        switch(joined, to="inventory")
    assert places(joined) == [("monolith", 0)] * 2
    assert can_write(joined.source)


@pytest.mark.parametrize(
    ("step", "cycles", "ours", "theirs", "expected"),
    [
        (1, False, Position(10, True), Position(1, False), Position(11 + GAP, False)),
        (1, False, Position(500, False), Position(1, False), Position(500 + GAP, False)),
        (1, False, Position(10, True), Position(11 + GAP, False), None),
        (1, False, Position(10, True), Position(900, True), None),
        (1, False, Position(995, True), Position(1, False), Position(996, False)),
        (1, False, Position(1000, True), Position(1, False), Position(1000, True)),
        (1, False, Position(1000, True), Position(1000, True), None),
        (5, False, Position(10, True), Position(1, False), Position(15 + 5 * GAP, False)),
        (-1, False, Position(-10, True), Position(-1, False), Position(-11 - GAP, False)),
        (-1, False, Position(-10, True), Position(-900, True), None),
        (1, True, Position(3, True), Position(900, True), Position(3, True)),
        (1, True, Position(3, True), Position(3, True), None),
    ],
)
def test_sequences_move_past_the_homes_and_never_back(
    step: int, cycles: bool, ours: Position, theirs: Position, expected: Position | None
) -> None:
    assert beyond(Sequence("s", "n", step, -1000, 1000, cycles), ours, theirs) == expected


@pytest.mark.parametrize(
    ("name", "has_moved"),
    [
        ("cutover.before_lock", False),
        ("cutover.locked", False),
        ("cutover.before_commit", False),
        ("cutover.after_commit", True),
    ],
)
def test_a_killed_switch_leaves_one_home_and_may_be_run_again(joined: Pair, name: str, has_moved: bool) -> None:
    with Writers(joined) as writers:
        with coordinator(joined, failpoint=name, to="inventory") as process:
            assert process.wait(timeout=60) == -signal.SIGKILL
        expected = ("inventory", 1) if has_moved else ("monolith", 0)
        wait_for(lambda: places(joined) == [expected] * 2)
        wait_for(lambda: can_write(joined.side(expected[0])))
        again = switch(joined, to="inventory")
        assert (again.epoch, again.attempts > 0) == (1, not has_moved)
    assert places(joined) == [("inventory", 1)] * 2
    writers.check()


def test_a_stopped_coordinator_holds_writers_up_no_longer_than_the_pause(joined: Pair) -> None:
    with coordinator(joined, failpoint="cutover.locked:stop", to="inventory", max_pause_ms=400) as process:
        wait_for(lambda: stopped(process))
        wait_for(lambda: can_write(joined.source))
        assert stopped(process)
        assert places(joined) == [("monolith", 0)] * 2


def test_a_coordinator_that_was_stopped_too_long_tries_again(joined: Pair) -> None:
    options: dict[str, Any] = {
        "failpoint": "cutover.before_commit:stop",
        "to": "inventory",
        "max_pause_ms": 2000,
        "attempts": 1,
    }
    with coordinator(joined, **options) as process:
        wait_for(lambda: stopped(process))
        wait_for(lambda: can_write(joined.source))
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    assert printed.startswith("Behind: the connection to monolith broke before the commit, and nothing has changed")
    assert places(joined) == [("monolith", 0)] * 2


def test_a_commit_whose_answer_is_lost_is_found_out(joined: Pair) -> None:
    with Cable(joined.source, cut_after=b"COMMIT\0") as cable:
        torn = replace(joined, source=cable.side)
        moved = switch(torn, to="inventory")
    assert cable.was_cut.is_set()
    assert (moved.epoch, moved.attempts) == (1, 1)
    assert places(joined) == [("inventory", 1)] * 2


def test_a_commit_that_never_reached_the_server_is_made_again(joined: Pair) -> None:
    with Cable(joined.source, cut_before=b"COMMIT\0") as cable:
        torn = replace(joined, source=cable.side)
        moved = switch(torn, to="inventory")
    assert cable.was_cut.is_set()
    assert (moved.epoch, moved.attempts) == (1, 2)
    assert places(joined) == [("inventory", 1)] * 2


def test_a_target_that_is_down_changes_nothing(joined: Pair, servers: Servers) -> None:
    servers.target.stop()
    with pytest.raises(Away, match=r"the database of inventory does not answer .*manage.py extract cutover inventory"):
        switch(joined, to="inventory")
    assert place(joined, joined.source) == ("monolith", 0)
    assert can_write(joined.source)


def test_a_target_that_goes_down_under_the_lock_changes_nothing(joined: Pair, servers: Servers) -> None:
    with coordinator(joined, failpoint="cutover.locked:stop", to="inventory", max_pause_ms=60_000) as process:
        wait_for(lambda: stopped(process))
        servers.target.stop(how="crash")
        assert not can_write(joined.source)
        process.send_signal(signal.SIGCONT)
        printed, _ = process.communicate(timeout=60)
    assert printed.startswith("Away: the database of inventory does not answer")
    assert place(joined, joined.source) == ("monolith", 0)
    assert can_write(joined.source)


def test_a_target_that_hangs_under_the_lock_holds_nobody_up(joined: Pair, servers: Servers) -> None:
    assert servers.target.process is not None
    with coordinator(joined, failpoint="cutover.locked:stop", to="inventory", max_pause_ms=5000) as process:
        wait_for(lambda: stopped(process))
        postmaster = psutil.Process(servers.target.process.pid)
        hung = [postmaster, *postmaster.children(recursive=True)]
        for each in hung:
            each.suspend()
        try:
            process.send_signal(signal.SIGCONT)
            wait_for(lambda: can_write(joined.source))
            printed, _ = process.communicate(timeout=60)
        finally:
            for each in hung:
                each.resume()
    assert printed.startswith("Away: the database of inventory does not answer")
    assert place(joined, joined.source) == ("monolith", 0)


def test_a_target_that_goes_down_after_the_commit_opens_when_it_is_back(joined: Pair, servers: Servers) -> None:
    with closing(connect(joined.target)) as blocker:
        # Keeps the row out until the server is down.
        blocker.execute("begin; select from inventory.inventory_placement for update")
        options: dict[str, Any] = {"failpoint": "cutover.after_commit:stop", "to": "inventory", "open_within_s": 1}
        with coordinator(joined, **options) as process:
            wait_for(lambda: stopped(process))
            servers.target.stop(how="crash")
            process.send_signal(signal.SIGCONT)
            printed, _ = process.communicate(timeout=60)
    assert printed.startswith("NotOpen: inventory has moved to inventory (epoch 1)")
    assert place(joined, joined.source) == ("inventory", 1)
    assert not can_write(joined.source)
    servers.target.start()
    wait_for(lambda: place(joined, joined.target) == ("inventory", 1))
    assert can_write(joined.target)
    assert switch(joined, to="inventory").attempts == 0
    # The stream back connects again some seconds after its publisher.
    wait_for(lambda: not is_complete(joined))
    assert verify(joined).equal


def test_waits_for_a_target_that_comes_back_after_the_commit(joined: Pair, servers: Servers) -> None:
    with closing(connect(joined.target)) as blocker:
        blocker.execute("begin; select from inventory.inventory_placement for update")
        with coordinator(joined, failpoint="cutover.after_commit:stop", to="inventory", open_within_s=60) as process:
            wait_for(lambda: stopped(process))
            servers.target.stop(how="crash")
            process.send_signal(signal.SIGCONT)
            servers.target.start()
            assert outcome(process)["epoch"] == 1
    assert places(joined) == [("inventory", 1)] * 2


def test_a_new_home_is_known_when_the_old_one_is_down(joined: Pair, servers: Servers) -> None:
    switch(joined, to="inventory")
    servers.source.stop(how="crash")
    again = switch(joined, to="inventory")
    assert (again.attempts, again.epoch) == (0, 1)
    with pytest.raises(Away, match=r"the database of monolith does not answer .*manage.py extract rollback inventory"):
        switch(joined, to="monolith")


def test_of_two_coordinators_one_moves_it(joined: Pair) -> None:
    outcomes: list[Switch | Overtaken] = []

    def attempt() -> None:
        try:
            outcomes.append(switch(joined, to="inventory"))
        except Overtaken as error:
            outcomes.append(error)

    both = [threading.Thread(target=attempt) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert len(outcomes) == 2
    assert sum(isinstance(each, Switch) and each.attempts > 0 for each in outcomes) == 1
    assert places(joined) == [("inventory", 1)] * 2


def test_a_pause_without_a_limit_is_refused(joined: Pair) -> None:
    with pytest.raises(ValueError, match="10 is the least"):
        switch(joined, to="inventory", max_pause_ms=0)
    assert places(joined) == [("monolith", 0)] * 2


def test_an_unknown_failpoint_is_refused_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for asked in ("cutover.lokced", "cutover.locked:pause"):
        monkeypatch.setenv(VARIABLE, asked)
        with pytest.raises(UnknownFailpoint, match=r"cutover\.before_commit"):
            failpoint("cutover.before_lock")


@pytest.mark.parametrize("where", ["public.other", "inventory.product"])
def test_refuses_while_a_large_transaction_is_open_wherever_it_writes(joined: Pair, where: str) -> None:
    with connect(joined.source) as admin:
        admin.execute("create table public.other (name text, price int)")
    with connect(joined.source) as large, large.transaction():
        insert = "insert into {} (name, price) select repeat('x', 100), n from generate_series(1, 400000) n"
        large.execute(psycopg.sql.SQL(insert).format(psycopg.sql.Identifier(*where.split("."))))
        wait_for(lambda: age_ms(large) > 1000)
        pid = large.info.backend_pid
        with pytest.raises(Busy, match=rf"up to \d+ MB by pid {pid} of .*pg_terminate_backend\({pid}\)") as refused:
            switch(joined, to="inventory", attempts=2)
        assert str(refused.value).endswith("run: manage.py extract cutover inventory")
        if where == "public.other":
            assert can_write(joined.source)
    assert places(joined) == [("monolith", 0)] * 2
    assert switch(joined, to="inventory").epoch == 1


def test_asks_first_whether_a_side_is_a_copy_and_writes_no_heartbeat_there(joined: Pair, monkeypatch: Any) -> None:
    monkeypatch.setattr("extraction.cutover.large.LARGE_BYTES", -1)
    monkeypatch.setattr("extraction.cutover.large.OLD_S", 0.0)
    query, unit = joined.objects.query("beat_of"), {"unit": "monolith"}
    with connect(joined.source) as source, connect(joined.target) as target:
        before = source.execute(query, unit).fetchone()
        # As it is where the source is back in time; with an origin the stream back does not bring it.
        target.execute("select pg_replication_origin_create(%s)", [joined.id])
        target.execute("select pg_replication_origin_session_setup(%s)", [joined.id])
        target.execute("update inventory.inventory_heartbeat set beat = beat + 1000 where unit = 'monolith'")
        with source.transaction(), pytest.raises(Copied, match=r"has seen heartbeat \d+ of monolith, whose own is at"):
            source.execute("select pg_current_xact_id()")
            switch(joined, to="inventory", attempts=1)
        assert source.execute(query, unit).fetchone() == before
        target.execute("select pg_replication_origin_session_reset()")
        target.execute("select pg_replication_origin_drop(%s)", [joined.id])


def test_a_small_transaction_elsewhere_stops_nobody_however_old(joined: Pair) -> None:
    with connect(joined.source) as admin:
        admin.execute("create table public.other (id int)")
    with connect(joined.source) as old, old.transaction():
        old.execute("insert into public.other values (1)")
        wait_for(lambda: age_ms(old) > 1500)
        assert switch(joined, to="inventory").attempts == 1


def test_much_that_was_committed_beside_a_small_transaction_is_not_taken_for_its_own(joined: Pair) -> None:
    """What the slot keeps is told from what is still open."""
    with as_owner(joined.source) as owner:
        owner.execute("create table public_log (id bigint generated always as identity primary key, line text)")
        owner.execute("drop table public_log")
    with connect(joined.source) as admin:
        admin.execute("select pg_logical_emit_message(false, '', repeat('x', 1000000)) from generate_series(1, 80)")
        with connect(joined.source) as small, small.transaction():
            small.execute("select pg_current_xact_id()")
            wait_for(lambda: age_ms(small) > 1500)
            assert switch(joined, to="inventory").epoch == 1


def test_numbers_of_every_kind_of_sequence_are_given_once(joined: Pair) -> None:
    """Cached, descending, shared with another module, of another schema."""
    for side in (joined.source, joined.target):
        with connect(side) as admin:
            admin.execute("create sequence public.shared increment 3; grant usage on sequence public.shared to public")
            admin.execute("grant usage on schema public to public")
        with as_owner(side) as owner:
            owner.execute("create sequence cached cache 50; create sequence falling increment -1 start -1")
            owner.execute("alter table stock add column cached bigint default nextval('cached')")
            owner.execute("alter table stock add column falling bigint default nextval('falling')")
            owner.execute("alter table stock add column shared bigint default nextval('public.shared')")
    seen: list[Any] = []
    made = "insert into stock (warehouse, product_id, on_hand) values (%s, 1, 1) returning cached, falling, shared"
    for to in ("inventory", "monolith", "inventory"):
        with as_owner(joined.other(to)) as owner:
            seen += [owner.execute(made, [f"warehouse {len(seen) + n}"]).fetchone() for n in range(3)]
        switch(joined, to=to)
    for kind in zip(*seen, strict=True):
        assert len(set(kind)) == len(kind), kind
    assert verify(joined).equal


def test_a_partition_that_came_since_is_neither_followed_nor_missed(joined: Pair) -> None:
    leaf = "create table movement_2027 partition of movement for values from ('2027-01-01') to ('2028-01-01')"
    for side in (joined.source, joined.target):
        with as_owner(side) as owner:
            owner.execute(leaf)
    with pytest.raises(NotFollowing, match="monolith: table movement_2027 has no fence"):
        switch(joined, to="inventory")
    prepare(joined)
    start(joined)
    follow(joined, tell=print, timeout_s=60)
    assert switch(joined, to="inventory").epoch == 1
    with as_owner(joined.source) as owner, pytest.raises(psycopg.Error, match="lives in inventory"):
        owner.execute("insert into movement_2027 (at, quantity) values ('2027-02-02', 1)")
