"""Both databases hold the same rows and follow each other, whatever happens meanwhile."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from extraction.replicate import queries, stream
from extraction.replicate.copying import copy
from extraction.replicate.errors import NoStream, NotHome, Unfit
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import delay, is_complete, progress
from extraction.replicate.removal import remove
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import Servers, as_owner, connect, lose, meanwhile, rows, wait_for

WAITS_FOR = "select exists (select from pg_stat_activity where %s = any (pg_blocking_pids(pid)))"
TABLES = ("product", "reservation", "stock", "movement", 'Odd "table" %s', "ticket")


def replicate(pair: Pair) -> None:
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda sentence: None, timeout_s=60)


def test_every_kind_of_table_is_copied(pair: Pair) -> None:
    replicate(pair)
    assert is_complete(pair) == []
    assert differing(pair) == []
    assert len(rows(pair.target, "movement")) == 150


def test_modules_of_one_database_are_prepared_at_the_same_time(pair: Pair) -> None:
    errors: list[Exception] = []

    def work() -> None:
        try:
            prepare(pair)
        except Exception as error:
            errors.append(error)

    with connect(pair.source) as other, connect(pair.source) as watching:
        for _ in range(3):
            preparing = threading.Thread(target=work)
            with other.transaction():
                other.execute(f"grant temporary on database {other.info.dbname} to shop_inventory")
                preparing.start()
                wait_for(lambda: watching.execute(WAITS_FOR, [other.info.backend_pid]).fetchone() == (True,))
            preparing.join()
            assert errors == []
            remove(pair)


def test_two_databases_of_one_server_are_joined_as_well(pair_on_one_server: Pair) -> None:
    replicate(pair_on_one_server)
    assert is_complete(pair_on_one_server) == []
    assert differing(pair_on_one_server) == []


def test_writes_during_the_copy_arrive_once(pair: Pair) -> None:
    with writing(pair.source) as written:
        replicate(pair)
        enough = len(written) + 50
        wait_for(lambda: len(written) > enough)
    caught_up(pair)
    assert [(writer, number) for _, writer, number in rows(pair.target, "ticket") if writer == 1] == [
        (1, number) for number in written
    ]
    assert differing(pair) == []


def test_nothing_comes_back_to_where_it_was_written(pair: Pair) -> None:
    replicate(pair)
    for home, other in ((pair.source, pair.target), (pair.target, pair.source)):
        with as_owner(home) as owner:
            owner.execute("update ticket set number = number + 100 where writer = 0")
            written = versions(home)
            follows(pair, home, other)
            # What the other side sends from here on stands behind what it might have sent back.
            follows(pair, other, home)
            assert versions(home) == written
            if home is pair.source:
                with connect(pair.source) as admin:
                    admin.execute(pair.objects.query("hand_over"), {"to": pair.target.unit, "epoch": 0})
                wait_for(lambda: placement(pair, pair.target) == (pair.target.unit, 1))
    assert differing(pair) == []
    for side, subscription in ((pair.source, pair.back.name), (pair.target, pair.out.name)):
        with connect(side) as admin:
            given = {"subscription": subscription}
            assert admin.execute(queries.replicate("troubles"), given).fetchall() == []


def test_again_changes_nothing(pair: Pair) -> None:
    replicate(pair)
    before = [versions(side) for side in (pair.source, pair.target)]
    replicate(pair)
    assert [versions(side) for side in (pair.source, pair.target)] == before


STEPS = [
    *("fence", "provide_publisher", "provide_subscriber", "_subscribe", "clear_source", "clear_target"),
    *("copy.empty", "copy.make_snapshot", "copy.open_ledger", "copy.copy"),
]


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_any_step_it_ends_in_the_same_state(pair: Pair, step: str) -> None:
    run_killed(pair, step, calls=1)
    replicate(pair)
    assert is_complete(pair) == []
    assert differing(pair) == []


def test_killed_before_the_stream_back_it_is_begun_by_the_next(pair: Pair) -> None:
    run_killed(pair, "make_slot", calls=1)
    replicate(pair)
    assert is_complete(pair) == []


def test_killed_while_a_table_is_copied_the_copy_goes_on(pair: Pair) -> None:
    prepare(pair)
    context = multiprocessing.get_context("fork")
    has_begun, is_held = context.Event(), context.Event()

    def work(pair: Pair) -> None:
        begin = vars(copy)["open_ledger"]

        def begin_and_wait(*given: Any, **named: Any) -> None:
            begin(*given, **named)
            has_begun.set()
            is_held.wait()

        vars(copy)["open_ledger"] = begin_and_wait
        replicate(pair)

    coordinator = forked(work, pair)
    with connect(pair.target) as holder, holder.transaction():
        assert has_begun.wait(30)
        holder.execute("lock table inventory.product in share row exclusive mode")
        is_held.set()
        wait_for(lambda: progress_of(pair) == 8)
        os.kill(coordinator.pid or 0, signal.SIGKILL)
        coordinator.join()
        assert "inventory: no subscription" in is_complete(pair)
    replicate(pair)
    assert is_complete(pair) == []
    assert differing(pair) == []


def test_what_a_copy_left_without_its_subscription_is_copied_again(pair: Pair) -> None:
    prepare(pair)
    with connect(pair.target) as admin:
        admin.execute("set session_replication_role = replica")
        admin.execute("insert into inventory.ticket values (1, 7, 7), (99, 7, 8)")
    replicate(pair)
    assert differing(pair) == []


def test_a_table_made_later_is_missed_until_it_is_joined_too(pair: Pair) -> None:
    replicate(pair)
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create table late (id int primary key)")
            owner.execute("create table movement_2027 partition of movement default")
    with as_owner(pair.source) as owner:
        owner.execute("insert into late select generate_series(1, 10)")
    reasons = is_complete(pair)
    for unit in ("monolith", "inventory"):
        for table in ("late", "movement_2027"):
            for lack in ("has no fence", "is not published", "does not follow yet (state none)"):
                assert f"{unit}: table {table} {lack}" in reasons
    replicate(pair)
    assert is_complete(pair) == []
    assert len(rows(pair.target, "late")) == 10


def test_a_table_made_later_that_cannot_follow_is_not_published_and_stays_writable(pair: Pair) -> None:
    replicate(pair)
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute("create table late (id int)")
    with pytest.raises(Unfit, match=r"late\" has no .*key.*; then run: manage.py extract replicate inventory"):
        prepare(pair)
    with as_owner(pair.source) as owner:
        owner.execute("insert into late values (1); update late set id = 2")


def test_rows_that_a_migration_put_into_a_later_table_on_both_sides_are_not_doubled(pair: Pair) -> None:
    replicate(pair)
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute(
                "create table late (id uuid default gen_random_uuid() primary key, of bigint references product)"
            )
            owner.execute("create table later (id int primary key, of uuid references late)")
            owner.execute("insert into late (of) values (1); insert into later select 1, id from late")
    replicate(pair)
    for table in ("late", "later"):
        assert len(rows(pair.source, table)) == 1
        assert rows(pair.source, table) == rows(pair.target, table)


@pytest.mark.parametrize("behind", ["source", "target"])
def test_a_column_that_one_side_lacks_is_named(pair: Pair, behind: str) -> None:
    replicate(pair)
    with as_owner(pair.target if behind == "source" else pair.source) as owner:
        owner.execute("alter table product add column colour text default 'red'")
    assert is_complete(pair) == [
        "table product differs between monolith and inventory (colour text): migrate both to the same state"
    ]


def test_a_stream_that_does_not_go_on_by_itself_is_not_waited_for(pair: Pair) -> None:
    replicate(pair)
    with connect(pair.source) as admin:
        admin.execute(f"alter subscription {pair.back.name} disable")
    with pytest.raises(NoStream, match="monolith: the subscription is disabled"):
        follow(pair, tell=lambda sentence: None, timeout_s=60)


def test_a_slot_that_lost_what_is_needed_is_told_of_at_once(pair: Pair, servers: Servers) -> None:
    replicate(pair)
    servers.target.stop()
    with connect(pair.source) as admin:
        lose(admin, pair.out.name)
    servers.target.start()
    with pytest.raises(NoStream, match=r"has lost what the other side still needs .*extract abort inventory"):
        follow(pair, tell=lambda sentence: None, timeout_s=60)


@pytest.mark.parametrize(
    ("side", "limit"),
    [("source", "statement_timeout"), ("source", "transaction_timeout"), ("target", "transaction_timeout")],
)
def test_a_copy_may_take_longer_than_a_statement_of_the_application(pair: Pair, side: str, limit: str) -> None:
    with as_owner(pair.source) as owner:
        owner.execute(
            "insert into product (name, price) select repeat('long ', 100), n from generate_series(1, 150000) n"
        )
    with connect(getattr(pair, side)) as admin:
        admin.execute(f"alter database {admin.info.dbname} set {limit} = '200ms'")
    replicate(pair)
    assert is_complete(pair) == []


def test_a_fence_that_was_disabled_and_a_stream_that_stands_still_are_seen(pair: Pair) -> None:
    replicate(pair)
    with as_owner(pair.target) as owner:
        owner.execute("alter table movement_2025 disable trigger inventory_fence")
    with connect(pair.source) as admin:
        admin.execute(f"alter subscription {pair.back.name} disable")
    with connect(pair.source) as source, connect(pair.target) as target:
        on = {pair.source.unit: source, pair.target.unit: target}
        assert "inventory: table movement_2025 has no fence" in is_complete(pair, on=on)
        assert "monolith: the subscription is disabled" in is_complete(pair, on=on)
        wait_for(lambda: f"inventory: nobody reads slot {pair.back.name}" in is_complete(pair, on=on))


def test_how_late_a_stream_is_is_measured_by_a_commit(pair: Pair) -> None:
    replicate(pair)
    arrived = delay(pair, pair.out, within_s=20)
    assert arrived.is_over
    assert 0 < arrived.seconds < 20
    with connect(pair.target) as admin:
        admin.execute(f"alter subscription {pair.out.name} disable")
        late = delay(pair, pair.out, within_s=0.5)
        assert not late.is_over
        assert late.seconds >= 0.5
        admin.execute(f"alter subscription {pair.out.name} enable")
    assert delay(pair, pair.out, within_s=30).is_over


def test_no_stream_begins_while_the_target_is_home(pair: Pair) -> None:
    replicate(pair)
    with connect(pair.source) as admin:
        admin.execute(pair.objects.query("hand_over"), {"to": pair.target.unit, "epoch": 0})
    wait_for(lambda: placement(pair, pair.target) == (pair.target.unit, 1))
    before = rows(pair.target, "product")
    with connect(pair.target) as admin:
        for change in ("disable", "set (slot_name = none)"):
            admin.execute(f"alter subscription {pair.out.name} {change}")
        admin.execute(f"drop subscription {pair.out.name}")
    with pytest.raises(NotHome, match="extract status inventory"):
        start(pair)
    assert rows(pair.target, "product") == before


def test_the_subscription_has_no_rights_of_its_own(pair: Pair) -> None:
    replicate(pair)
    with connect(pair.target) as admin:
        owner = admin.execute(
            "select rolname, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls from pg_subscription s"
            " join pg_roles r on r.oid = s.subowner where subname = %s and subpasswordrequired and not subrunasowner",
            [pair.out.name],
        ).fetchone()
        assert owner == (pair.out.writer, False, False, False, False, False)
        memberships = admin.execute(
            "select roleid::regrole::text, inherit_option, set_option, admin_option from pg_auth_members"
            " where member = %s::regrole order by 1",
            [pair.out.writer],
        ).fetchall()
        assert memberships == [("shop_inventory", True, True, False)]
        may_create = "select has_database_privilege(%s, current_database(), 'create')"
        assert admin.execute(may_create, [pair.out.writer]).fetchone() == (False,)
    with connect(pair.source) as admin:
        admin.execute("create table inventory.django_migrations (id int primary key)")
        assert may(admin, pair.out.reader, "select", "inventory.product")
        assert not may(admin, pair.out.reader, "insert", "inventory.product")
        assert not may(admin, pair.out.reader, "select", "inventory.django_migrations")


def test_nothing_logs_the_password(pair: Pair, servers: Servers) -> None:
    everything = {"log_statement": "all", "log_min_duration_statement": "0", "log_duration": "on"}
    for server in (servers.source, servers.target):
        change_settings(server.postgres.url(), "set {} = '{}'", everything)
    try:
        replicate(pair)
        # Refused by the server, which logs the statement of an error.
        with connect(pair.source) as publisher:
            with pytest.raises(NoStream) as refused:
                stream._subscribe(pair, pair.out, publisher)
    finally:
        for server in (servers.source, servers.target):
            change_settings(server.postgres.url(), "reset {}", everything)
    with connect(pair.target) as admin:
        (conninfo,) = admin.execute(
            "select subconninfo from pg_subscription where subname = %s", [pair.out.name]
        ).fetchone() or ("",)
    password = conninfo.partition("password=")[2].partition(" ")[0].strip("'")
    assert len(password) > 30
    for server in (servers.source, servers.target):
        log = (server.postgres.directory / "log").read_text()
        assert "create publication" in log  # it logs statements
        assert password not in log
        assert "password=" not in log
    assert "password" not in f"{refused.value} {refused.value.__cause__}"


def differing(pair: Pair) -> list[str]:
    return [table for table in TABLES if rows(pair.source, table) != rows(pair.target, table)]


def versions(side: Side) -> list[Any]:
    """Each row with the transaction that wrote it here."""
    with connect(side) as admin:
        return admin.execute("select id, writer, number, xmin::text from inventory.ticket order by 1").fetchall()


def placement(pair: Pair, side: Side) -> Any:
    with connect(side) as admin:
        return admin.execute(pair.objects.query("read")).fetchone()


def follows(pair: Pair, publisher: Side, subscriber: Side) -> None:
    """Return when all that `publisher` has committed has arrived."""
    with connect(publisher) as here, connect(subscriber) as there:
        (beat,) = here.execute(pair.objects.query("beat")).fetchone() or (0,)
        read, given = pair.objects.query("beat_of"), {"unit": publisher.unit}
        wait_for(lambda: there.execute(read, given).fetchone() == (beat,))


def caught_up(pair: Pair) -> None:
    follows(pair, pair.source, pair.target)


def progress_of(pair: Pair) -> int:
    """Tables that are ready."""
    return progress(pair).tables_ready


def may(admin: Any, role: str, privilege: str, table: str) -> bool:
    found = admin.execute("select has_table_privilege(%s, %s, %s)", [role, table, privilege]).fetchone()
    return bool(found[0])


def change_settings(url: str, change: str, settings: dict[str, str]) -> None:
    with connect(Side("", url)) as admin:
        for setting, value in settings.items():
            admin.execute(f"alter system {change.format(setting, value)}")
        admin.execute("select pg_reload_conf()")


@contextmanager
def writing(side: Side) -> Iterator[list[int]]:
    """A writer that commits tickets one after another; what was acknowledged."""
    written: list[int] = []

    def write(is_over: threading.Event) -> None:
        with as_owner(side) as owner:
            while not is_over.is_set():
                owner.execute("insert into ticket (writer, number) values (1, %s)", [len(written)])
                written.append(len(written))

    with meanwhile(write):
        yield written


def forked(work: Callable[[Pair], None], pair: Pair) -> Any:
    process = multiprocessing.get_context("fork").Process(target=work, args=(pair,))
    process.start()
    return process


def run_killed(pair: Pair, step: str, *, calls: int) -> None:
    """Run in a process that is killed right after it took this step so many times."""

    def work(pair: Pair) -> None:
        module, name = (copy, step[5:]) if step.startswith("copy.") else (stream, step)
        if step == "copy.copy":
            module = stream
        taken, left = getattr(module, name), [calls]

        def take(*given: Any, **named: Any) -> Any:
            result = taken(*given, **named)
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(module, name, take)
        replicate(pair)

    process = forked(work, pair)
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
