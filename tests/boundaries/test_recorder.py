"""The recorder: what it sees of a statement, what it keeps, and that the application never learns of it."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connections, transaction
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client
from django.urls import path

from extraction.boundaries import recorder
from extraction.boundaries.callsite import CallSite
from extraction.boundaries.coupling import Coupling, coupling_in
from extraction.boundaries.operations import Operation
from extraction.boundaries.recorder import Recorder
from extraction.boundaries.recording import Record, lines
from extraction.boundaries.statements import LONGEST, Statement, statement
from modules.inventory import selectors
from modules.inventory.models import Product
from modules.orders.models import Order
from tests.journeys.buying import shelve

pytestmark = pytest.mark.django_db(databases="__all__")

ROOT = Path(__file__).resolve().parent.parent.parent
ORDER, PAYMENT, SESSION = ("orders", "orders_order"), ("payments", "payments_payment"), ("", "django_session")
WRITE_ORDER = 'UPDATE "orders_order" SET "state" = %s WHERE false'
READ_PAYMENT = 'SELECT "payments_payment"."state" FROM "payments_payment"'
Recorded = Callable[[], Coupling]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "var" / "coupling.jsonl"


@pytest.fixture
def recording(file: Path) -> Iterator[Recorder]:
    """Everything that this test does is recorded."""
    started = Recorder(share=1.0, file=file, every_s=3600)
    recorder.start(started)
    yield started
    recorder.stop()


@pytest.fixture
def recorded(recording: Recorder, file: Path) -> Recorded:
    """What was recorded so far."""

    def read() -> Coupling:
        recording.flush()
        return coupling_in([file])

    return read


@pytest.mark.parametrize(
    ("sql", "reads", "writes"),
    [
        ('SELECT "orders_order"."id" FROM "orders_order" WHERE "orders_order"."id" = %s', [ORDER], []),
        ("select 1 from orders_order o join payments_payment p on p.order_id = o.id", [ORDER, PAYMENT], []),
        ("select 1 from orders_order o, payments_payment p", [ORDER, PAYMENT], []),
        ('select 1 from "orders"."orders_order", payments.payments_payment', [ORDER, PAYMENT], []),
        ('select 1 from (select id from "orders_order") x', [ORDER], []),
        ("select 1 from only (orders_order)", [ORDER], []),
        ('INSERT INTO "orders_order" ("id", "payments_payment") VALUES (%s, %s)', [], [ORDER]),
        ("insert into orders_order select * from payments_payment", [PAYMENT], [ORDER]),
        ("insert into orders_order values (1) on conflict (id) do update set state = ''", [], [ORDER]),
        ("update orders_order set state = p.state from payments_payment p", [PAYMENT], [ORDER]),
        ("delete from orders_order using payments_payment where true", [PAYMENT], [ORDER]),
        ("with old as (delete from orders_order returning id) select * from old", [], [ORDER]),
        ("merge into orders_order o using payments_payment p on true when matched then delete", [PAYMENT], [ORDER]),
        ("/* why */ -- so\n truncate orders_order, payments_payment", [], [ORDER, PAYMENT]),
        ("select 1 from orders_order for update of orders_order", [ORDER], []),
        ("select 1 from django_session join orders_order using (payments_payment)", [SESSION, ORDER], []),
        ("select 1 from orders_order where extract(year from payments_payment) is distinct from payments_payment",
         [ORDER], []),
        ("select 'from payments_payment', payments_payment from orders_order -- join payments_payment", [ORDER], []),
        ("select 1 from Orders_Order", [ORDER], []),
    ],
)  # fmt: skip
def test_tables_are_read_from_where_tables_stand(sql: str, reads: list[Any], writes: list[Any]) -> None:
    assert statement(sql) == Statement(tuple(sorted(reads)), tuple(sorted(writes)))


@pytest.mark.parametrize(
    "sql", ["create table orders_order (id int)", "savepoint orders_order", "select 1", "set role x", "", "("]
)
def test_what_touches_no_rows_of_a_model_is_nothing(sql: str) -> None:
    assert statement(sql) is None


def test_what_is_no_modules_is_the_modules_own_on_an_alias_of_its_own() -> None:
    assert statement("select 1 from outbox", alone="orders") == Statement((("orders", "outbox"),), ())
    assert statement("select 1 from outbox") == Statement((("", "outbox"),), ())


def test_of_a_statement_that_is_too_long_the_beginning_is_read() -> None:
    assert statement("insert into orders_order values " + "(%s), " * LONGEST) == Statement((), (ORDER,))


def test_code_of_no_module_in_a_modules_table_is_recorded_with_its_line(recorded: Recorded) -> None:
    Order.objects.count()
    (touch,) = recorded().touches
    assert (touch.code, touch.reads, touch.writes, touch.seen) == ("", (ORDER,), (), 1)
    assert touch.place.startswith("tests/boundaries/test_recorder.py:")
    assert touch.place.endswith(" in test_code_of_no_module_in_a_modules_table_is_recorded_with_its_line")


def test_a_module_in_its_own_tables_crosses_nothing(recorded: Recorded) -> None:
    selectors.product_list()
    found = recorded()
    assert found.touches == []
    assert found.matrix["inventory", "inventory"].reads.seen > 0


def test_raw_sql_server_side_cursors_and_many_at_once_are_seen(recorded: Recorded) -> None:
    shelve()
    with connections["orders"].cursor() as cursor:
        cursor.execute("select count(*) from orders_order")
        cursor.executemany("delete from orders_order where id = %s", [[None], [None]])
    list(Product.objects.iterator(chunk_size=1))
    mine = [touch for touch in recorded().touches if " in test_raw_sql" in touch.place]
    assert {(touch.reads, touch.writes, touch.seen) for touch in mine} == {
        ((ORDER,), (), 1),
        ((), (ORDER,), 1),
        ((("inventory", "inventory_product"),), (), 1),
    }


def test_a_statement_that_failed_does_not_count(recorded: Recorded) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(using="orders"), connections["orders"].cursor() as cursor:
        cursor.execute("select nothing from orders_order")
    assert not recorded().matrix


def test_an_operation_is_looked_at_whole_or_not_at_all(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0.7, 0.3])
    monkeypatch.setattr("extraction.boundaries.recorder.random.Random", lambda: Mock(random=lambda: next(drawn)))
    started = Recorder(share=0.5, file=file, every_s=3600)
    recorder.start(started)
    for name in ("first", "second"):
        with Operation("task", name):
            Order.objects.count()
            with Operation("call", "inside"):
                Product.objects.count()
    recorder.stop()
    found = coupling_in([file])
    assert found.operations == {"task": 1}
    assert {(touch.tables, touch.seen, touch.estimate) for touch in found.touches} == {
        ((ORDER,), 1, 2.0),
        ((("inventory", "inventory_product"),), 1, 2.0),
    }


def test_a_request_is_one_operation_from_the_first_middleware_on(client: Client, recorded: Recorded) -> None:
    shelve()
    recorded()
    before = dict(recorded().operations)
    assert client.get("/").status_code == 200
    after = dict(recorded().operations)
    assert after.get("request", 0) - before.get("request", 0) == 1
    assert {kind: times for kind, times in after.items() if kind != "request"} == before


@pytest.mark.parametrize(
    ("middleware", "kind"),
    [([], "statement"), (["extraction.placement.middleware.FollowingMiddleware"], "request")],
)
@pytest.mark.urls("tests.boundaries.test_recorder")
@pytest.mark.django_db(databases="__all__", transaction=True)
def test_under_asgi_a_request_is_one_where_the_middleware_makes_it_an_operation(
    middleware: list[str], kind: str, settings: Any, recorded: Recorded
) -> None:
    settings.MIDDLEWARE = middleware
    for url in ("/sync/", "/async/"):
        assert async_to_sync(AsyncClient().get)(url).status_code == 200
    found = recorded().operations
    assert found == {kind: 2 if kind == "request" else 4}


def twice(request: HttpRequest) -> HttpResponse:
    Order.objects.count()
    Product.objects.count()
    return HttpResponse()


async def twice_async(request: HttpRequest) -> HttpResponse:
    await Order.objects.acount()
    await Product.objects.acount()
    return HttpResponse()


urlpatterns = [path("sync/", twice), path("async/", twice_async)]


def test_outside_of_an_operation_a_transaction_is_looked_at_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([0.7, 0.3, 0.7])
    monkeypatch.setattr("extraction.boundaries.recorder.random.Random", lambda: Mock(random=lambda: next(drawn)))
    half = Recorder(share=0.5, file=file, every_s=3600)
    for _ in range(2):
        within = half.executed(WRITE_ORDER, alone="", inside=True, transaction=None)
        within = half.executed(READ_PAYMENT, alone="", inside=True, transaction=within)
        assert within is not None
        half.committed(within)
    half.executed(READ_PAYMENT, alone="", inside=False, transaction=None)
    half.stop()
    found = coupling_in([file])
    assert found.operations == {"transaction": 1}
    (together,) = found.together
    assert (together.modules, together.seen, together.estimate) == ((("orders", True), ("payments", False)), 1, 2.0)
    assert together.place.endswith("in test_outside_of_an_operation_a_transaction_is_looked_at_whole")


def test_a_transaction_that_only_read_or_touched_one_module_is_none_over_several(recording: Recorder) -> None:
    for first, second in ((READ_PAYMENT, 'SELECT FROM "orders_order"'), (WRITE_ORDER, WRITE_ORDER)):
        within = recording.executed(first, alone="", inside=True, transaction=None)
        within = recording.executed(second, alone="", inside=True, transaction=within)
        assert within is not None
        recording.committed(within)
    assert not recording._record.transactions


def test_memory_is_bounded_and_what_found_no_room_is_counted_without_its_place() -> None:
    record = Record(share=1.0, since=recorder._now())
    for line in range(100):
        record.add(Statement((ORDER,), ()), CallSite("payments", "a.py", line, "f"), most=3)
        record.add_transaction({"orders": True, "": False}, CallSite("payments", "a.py", line, "f"), most=3)
    assert (len(record.statements), len(record.transactions), record.crowded) == (4, 4, 194)
    assert record.statements.total() == record.transactions.total() == 100


HOLDER = """
import fcntl, sys
file = open(sys.argv[1])
fcntl.flock(file, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_a_module_in_its_own_tables_takes_no_room_for_each_line() -> None:
    record = Record(share=1.0, since=recorder._now())
    for line in range(100):
        record.add(Statement((ORDER,), ()), CallSite("orders", "a.py", line, "f"), most=3)
        record.add(Statement((SESSION,), ()), CallSite("", "b.py", line, "f"), most=3)
    assert (len(record.statements), record.crowded) == (2, 0)


def test_what_could_not_be_written_is_written_later(recording: Recorder, file: Path) -> None:
    Order.objects.count()
    recording.flush()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with holder as other:
        assert other.stdout
        assert other.stdin
        other.stdout.readline()
        Order.objects.count()
        recording.flush()
        assert len(list(lines(file))) == 1
        other.stdin.close()
    recording.flush()
    assert sum(touch.seen for touch in coupling_in([file]).touches) == 2
    assert recorder.active is recording


WRITER = """
import sys
from pathlib import Path
from django.conf import settings
settings.configure(EXTRACTION={"modules": {}})
from extraction.boundaries.recording import Busy, append
number = 0
while number < 50:
    try:
        append(Path(sys.argv[1]), {"version": 1, "number": number, "padding": "x" * 20_000}, most_bytes=2**40)
        number += 1
    except Busy:
        pass
"""


def test_processes_append_whole_lines_to_the_same_file(file: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, file]) for _ in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]
    found = list(lines(file))
    assert sorted(line["number"] for line in found if line) == sorted([*range(50)] * 4)


@pytest.mark.parametrize("kind", ["a folder", "a full disk", "a file that is large enough"])
def test_what_cannot_be_written_is_one_line_in_the_log_and_then_nothing(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "there"
    if kind == "a folder":
        file.mkdir()
    elif kind == "a full disk":
        if not Path("/dev/full").exists():
            pytest.skip("this system has no /dev/full")
        file = Path("/dev/full")
    else:
        file.write_bytes(b"x" * 1024)
    started = Recorder(share=1.0, file=file, every_s=3600, most_mb=0.001)
    recorder.start(started)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            Order.objects.count()
            started.flush()
        assert recorder.active is None
        started.executed(READ_PAYMENT, alone="", inside=False, transaction=None)  # as another thread that was at it
        started.flush()
    assert caplog.text.count("coupling is recorded no longer in this process") == 1
    assert kind != "a file that is large enough" or file.stat().st_size == 1024


def test_a_fault_of_the_recorder_never_reaches_the_application(
    recording: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "call_site", lambda: 1 / 0)
    assert Order.objects.count() == 0
    assert Order.objects.count() == 0
    assert recorder.active is None
    assert caplog.text.count("ZeroDivisionError") == 1


class OutOfTime(Exception):
    """As Celery's SoftTimeLimitExceeded."""


class Alarm:
    def __init__(self, error: type[Exception]) -> None:
        self.error = error

    def __call__(self, *_: object) -> None:
        raise self.error

    def ring(self, *_: object) -> None:
        raise self.error


def until_the_alarm() -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)
    while True:
        pass


@pytest.mark.parametrize("error", [OutOfTime, TimeoutError])
@pytest.mark.parametrize("kind", ["an object", "a method", "a partial function"])
def test_what_a_signal_raises_while_it_counts_is_the_applications(
    error: type[Exception], kind: str, recording: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = Alarm(error)
    handlers: dict[str, Callable[..., None]] = {
        "an object": alarm,
        "a method": alarm.ring,
        "a partial function": partial(alarm.ring, None),
    }
    before = signal.signal(signal.SIGVTALRM, handlers[kind])
    monkeypatch.setattr(recorder, "call_site", until_the_alarm)
    try:
        with pytest.raises(error):
            Order.objects.count()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    assert recorder.active is recording


@pytest.mark.parametrize(("error", "is_ours"), [(OutOfTime, False), (TimeoutError, True)])
def test_what_was_thrown_in_is_told_by_its_kind(
    error: type[Exception], is_ours: bool, recording: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "call_site", Alarm(error))
    with nullcontext() if is_ours else pytest.raises(error):
        Order.objects.count()
    assert (recorder.active is recording) is not is_ours


def test_it_writes_every_so_many_seconds_by_itself(file: Path) -> None:
    recorder.start(Recorder(share=1.0, file=file, every_s=0.1))
    Order.objects.count()
    end = time.monotonic() + 10
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert file.exists()
    recorder.stop()
    assert len(coupling_in([file]).touches) == 1


def test_the_child_of_a_fork_counts_anew(recording: Recorder, file: Path) -> None:
    Order.objects.count()
    child = os.fork()
    if child == 0:
        forgot = recording._record.is_empty and recording._thread is None
        os._exit(0 if forgot else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not recording._record.is_empty


CHILD = """
import multiprocessing, sys
from pathlib import Path
from django.conf import settings
settings.configure(EXTRACTION={"modules": {}})
from extraction.boundaries import recorder

def work():
    if recorder.active is None:
        begin()
    recorder.active.executed("select 1", alone="", inside=False, transaction=None)

def begin():
    recorder.start(recorder.Recorder(share=1.0, file=Path(sys.argv[2]), every_s=3600))

if __name__ == "__main__":
    if sys.argv[1] == "fork":
        begin()
    child = multiprocessing.get_context(sys.argv[1]).Process(target=work)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""


@pytest.mark.parametrize("way", ["fork", "forkserver"])
def test_a_child_of_multiprocessing_writes_at_its_end(way: str, tmp_path: Path) -> None:
    """Which is not Python's own: it ends by os._exit."""
    program, file = tmp_path / "program.py", tmp_path / "coupling.jsonl"
    program.write_text(CHILD)
    done = subprocess.run([sys.executable, program, way, file], env=os.environ | {"PYTHONPATH": str(ROOT)}, timeout=60)
    assert done.returncode == 0
    assert [line["operations"] for line in lines(file) if line] == [{"statement": 1}]


def test_it_draws_nothing_from_the_generator_that_all_share(file: Path) -> None:
    before = random.getstate()
    started = Recorder(share=0.5, file=file, every_s=3600)
    started.executed(READ_PAYMENT, alone="", inside=False, transaction=None)
    assert random.getstate() == before


def test_without_the_setting_nothing_is_watched() -> None:
    assert recorder.active is None
    recorder.install()
    assert recorder.active is None
    connections["orders"].ensure_connection()
    with transaction.atomic(using="orders"):
        Order.objects.count()
        assert connections["orders"]._extraction_watch.touched is None  # type: ignore[attr-defined]
    assert len(connections["orders"].execute_wrappers) == 1


def test_the_setting_switches_it_on_and_off_again(settings: Any, file: Path) -> None:
    settings.EXTRACTION = {**django_settings.EXTRACTION, "recorder": {"share": 1, "file": file}}
    assert recorder.active is not None
    assert recorder.active.share == 1
    Order.objects.count()
    settings.EXTRACTION = {**django_settings.EXTRACTION, "recorder": {"share": 0, "file": file}}
    assert recorder.active is None
    assert len(coupling_in([file]).touches) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"share": 2, "file": "f"}, "share is 2; it takes 0"),
        ({"share": "all", "file": "f"}, "share is 'all'"),
        ({"share": True, "file": "f"}, "share is True"),
        ({"share": 0.1}, "has no file"),
        ({"share": 0.1, "file": "f", "every": 1}, "has every; it takes share"),
        ({"share": 0.1, "file": "f", "every_s": "1"}, "every_s is '1'"),
        ({"share": 0.1, "file": "f", "most_mb": float("inf")}, "most_mb is inf; it takes a number"),
        ({"share": float("nan"), "file": "f"}, "share is nan; it takes a number"),
        ({"share": 0.1, "file": 5}, "has no file"),
        ("on", r"\[\"recorder\"\] is 'on'; it takes a dictionary: .*\"share\": 0.01"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_says_what_to_write(
    given: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(django_settings.EXTRACTION, "recorder", given)
    with pytest.raises(ImproperlyConfigured, match=message):
        recorder.install()
