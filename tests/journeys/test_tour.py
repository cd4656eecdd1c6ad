"""The tour: its arithmetic, its open loop, its ledger against the real shop, and the command itself."""

import asyncio
import json
import os
import pty
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from uuid_utils.compat import uuid7

from contracts.inventory import StockFact
from contracts.orders import Orders
from contracts.runtime import use
from extraction.deploys.records import Deploy
from modules.orders.models import Order, OrderLine
from shop.tour import conductor
from shop.tour.census import ShownOrder
from shop.tour.display import GuidedDisplay
from shop.tour.journeys import Customer, Town
from shop.tour.ledger import (
    Comparison,
    Difference,
    Doubled,
    Entry,
    Ledger,
    LedgerLine,
    SeenOrder,
    compare,
    compare_receipts,
    entries_in,
)
from shop.tour.load import Load, client_of
from shop.tour.memory import MemorySample
from shop.tour.moves import StageRecord, switch_in
from shop.tour.report import Findings, report_of
from shop.tour.samples import Sample, latency_by_step, percentile, samples_in
from shop.tour.stages import MOVES, stages_of
from tests.embedded import unembedded
from tests.journeys.buying import Buyer, shelve
from tests.platform.conftest import running_for

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize(
    ("percent", "expected"), [(50, 50), (95, 95), (99, 99), (99.5, 100), (100, 100), (0, 1), (1, 1), (1.1, 2)]
)
def test_a_percentile_is_a_measured_value_by_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(range(1, 101), percent) == expected


def test_the_percentile_of_one_value_is_that_value() -> None:
    assert [percentile([7.5], percent) for percent in (1, 50, 99)] == [7.5] * 3


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 95)


def test_latency_is_told_by_step_and_for_all_and_counts_failed_requests() -> None:
    samples = [sample(step="product", latency_ms=ms) for ms in (30, 10, 20)]
    samples.append(sample(step="search", latency_ms=900, problem="answered 500"))
    latency = latency_by_step(samples)
    assert (latency["product"].p50_ms, latency["product"].p95_ms, latency["product"].requests) == (20, 30, 3)
    assert (latency["all"].max_ms, latency["all"].requests) == (900, 4)


@pytest.fixture
def bought() -> tuple[Buyer, list[Entry]]:
    """Three orders that the shop acknowledged, as a load would have noted them."""
    shelve("A-1")
    shelve("B-2")
    buyer = Buyer()
    return buyer, [ordered(buyer, sku) for sku in ("A-1", "B-2", "A-1")]


def ordered(buyer: Buyer, sku: str) -> Entry:
    key = str(uuid7())
    answer = buyer.place(sku=sku, quantity=2, key=key)
    return Entry(
        operation="place_order",
        idempotency_key=key,
        customer="ada",
        lines=(LedgerLine(sku=sku, quantity=2),),
        card="tok_approve",
        status=answer.status_code,
        order_id=UUID(answer.json()["id"]),
        total_cents=answer.json()["total_cents"],
        acknowledged=True,
    )


def id_of(entry: Entry) -> UUID:
    assert entry.order_id is not None
    return entry.order_id


def against_the_shop(buyer: Buyer, entries: list[Entry]) -> Comparison:
    """What a tour does with its ledger, with the test client in place of HTTP."""
    seen: dict[UUID, SeenOrder | None] = {}
    for order_id in {entry.order_id for entry in entries if entry.order_id}:
        answer = buyer.client.get(f"/api/orders/{order_id}/")
        seen[order_id] = msgspec.json.decode(answer.content, type=ShownOrder) if answer.status_code == 200 else None
    return compare(entries, facts=use(Orders).facts().facts, seen=seen)


@pytest.mark.django_db(transaction=True)
class TestTheLedger:
    def test_agrees_with_a_shop_that_kept_everything(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, entries = bought
        assert against_the_shop(buyer, entries) == Comparison(
            acknowledged=3, unanswered=0, unanswered_placed=0, lost=(), doubled=()
        )

    def test_finds_an_order_that_is_gone(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, entries = bought
        Order.objects.filter(id=id_of(entries[1])).delete()
        (lost,) = against_the_shop(buyer, entries).lost
        assert (lost.order_id, lost.what) == (entries[1].order_id, "not among the shop's orders")

    def test_finds_an_order_whose_lines_changed(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, entries = bought
        OrderLine.objects.filter(order_id=id_of(entries[2])).update(quantity=1)
        (lost,) = against_the_shop(buyer, entries).lost
        assert lost.order_id == entries[2].order_id
        assert "lines: acknowledged {'A-1': 2}, the shop has {'A-1': 1}" in lost.what

    def test_finds_an_order_whose_total_changed(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, entries = bought
        Order.objects.filter(id=id_of(entries[0])).update(total_cents=1)
        (lost,) = against_the_shop(buyer, entries).lost
        assert "total_cents: acknowledged 500, the API has 1" in lost.what

    def test_finds_a_key_that_has_two_orders_in_the_shop(self, bought: tuple[Buyer, list[Entry]]) -> None:
        """The database refuses that for one customer, so the second is somebody else's."""
        buyer, entries = bought
        first = entries[0]
        double = Order.objects.get(id=id_of(first))
        double.id, double.customer_id = uuid7(), uuid7()
        double.save(force_insert=True)
        comparison = against_the_shop(buyer, entries)
        assert comparison.lost == ()
        assert [(it.idempotency_key, set(it.order_ids)) for it in comparison.doubled] == [
            (first.idempotency_key, {first.order_id, double.id})
        ]

    def test_finds_a_key_that_was_answered_with_two_orders(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, (first, second, _) = bought
        doctored = msgspec.structs.replace(second, idempotency_key=first.idempotency_key, operation="repeat_order")
        (doubled,) = against_the_shop(buyer, [first, doctored]).doubled
        assert set(doubled.order_ids) == {first.order_id, second.order_id}

    def test_counts_a_repeated_order_once(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, entries = bought
        again = msgspec.structs.replace(entries[0], operation="repeat_order")
        comparison = against_the_shop(buyer, [*entries, again])
        assert (comparison.acknowledged, comparison.lost, comparison.doubled) == (3, (), ())

    def test_expects_nothing_of_an_order_that_was_never_answered(self, bought: tuple[Buyer, list[Entry]]) -> None:
        buyer, (placed, *rest) = bought
        silent: dict[str, Any] = {"status": None, "order_id": None, "total_cents": None, "acknowledged": False}
        unanswered = [
            msgspec.structs.replace(placed, **silent),
            msgspec.structs.replace(placed, **silent, idempotency_key="never arrived"),
        ]
        comparison = against_the_shop(buyer, [*rest, *unanswered])
        assert (comparison.acknowledged, comparison.unanswered, comparison.unanswered_placed) == (2, 2, 1)
        assert comparison.lost == ()


def test_a_ledger_that_a_kill_cut_short_is_read_up_to_there(tmp_path: Path) -> None:
    entry = Entry(
        operation="place_order",
        idempotency_key="k",
        customer="ada",
        lines=(),
        card="tok_approve",
        status=None,
        acknowledged=False,
    )
    path = tmp_path / "ledger.jsonl"
    with Ledger(path) as ledger:
        ledger.write(entry)
        assert entries_in(path) == [entry]  # before the file is closed
        ledger.write(entry)
    path.write_bytes(path.read_bytes()[:-9])
    assert entries_in(path) == [entry]


NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """So many seconds past noon."""
    return NOON + timedelta(seconds=seconds)


def stage_record(key: str, began_s: float = 0, ended_s: float = 1, **values: Any) -> StageRecord:
    usual: dict[str, Any] = {"title": key, "outcome": "done", "began_at": at(began_s), "ended_at": at(ended_s)}
    return StageRecord(**usual | values, key=key)


GOOD = Comparison(acknowledged=2, acknowledged_receipts=1, unanswered=0, unanswered_placed=0, lost=(), doubled=())
CAUSES: dict[str, dict[str, Any]] = {
    "1 request failed": {"samples": [{"problem": "answered 500"}]},
    "1 acknowledged order lost or changed": {
        "comparison": msgspec.structs.replace(
            GOOD, lost=(Difference(idempotency_key="k", order_id=UUID(int=1), what="gone"),)
        )
    },
    "1 order doubled": {
        "comparison": msgspec.structs.replace(GOOD, doubled=(Doubled(idempotency_key="k", order_ids=()),))
    },
    "invariant stock_adds_up does not hold": {"invariants": {"stock_adds_up": False, "nothing_stuck": True}},
    "the invariants were not checked": {"invariants": None},
    "the ledger was not compared": {"comparison": None},
    "1 acknowledged receipt of goods lost": {
        "comparison": msgspec.structs.replace(GOOD, lost=(Difference(idempotency_key="k", sku="A-1", what="gone"),))
    },
    "1 receipt of goods doubled": {
        "comparison": msgspec.structs.replace(GOOD, doubled=(Doubled(sku="A-1", what="too many"),))
    },
    "no order was acknowledged": {"comparison": msgspec.structs.replace(GOOD, acknowledged=1)},
    "not done: rollback, second cutover": {"stages": [stage_record(key) for key in MOVES[:-2]]},
    "no request was sent": {"samples": []},
    "the load ended with status 1: out of memory": {"troubles": ["the load ended with status 1: out of memory"]},
}


def findings(**changes: Any) -> Findings:
    """Of a tour in which nothing went wrong, but for these changes."""
    samples = [sample(**values) for values in changes.pop("samples", [{}])]
    usual: dict[str, Any] = {
        "rate": 1,
        "seed": 1,
        "module": "inventory",
        "stages": [stage_record(key) for key in MOVES],
        "load_s": 1.0,
        "comparison": GOOD,
        "invariants": {"nothing_stuck": True},
    }
    return Findings(**usual | changes, samples=samples)


def sample(**values: Any) -> Sample:
    usual: dict[str, Any] = {
        "at_s": 0.0,
        "due_at": NOON,
        "step": "product",
        "latency_ms": 1,
        "service_ms": 1,
        "status": 200,
    }
    return Sample(**usual | values)


def test_a_tour_passes_when_nothing_is_wrong() -> None:
    report = report_of(findings())
    assert (report.verdict, report.exit_status) == ("passed", 0)


@pytest.mark.parametrize("reason", CAUSES)
def test_a_tour_fails_for_each_cause_and_names_it(reason: str) -> None:
    report = report_of(findings(**CAUSES[reason]))
    assert (report.verdict, report.reasons, report.exit_status) == ("failed", (reason,), 1)


def test_a_request_that_nobody_knows_of_is_counted_apart_and_as_failed() -> None:
    report = report_of(findings(samples=[{"problem": "answered 503", "is_ambiguous": True}]))
    assert (report.ambiguous, report.requests.failed, report.verdict) == (1, 1, "failed")
    assert "1 request answered that nobody knows whether it took effect" in report.reasons


SWITCH = {
    "from_unit": "monolith",
    "to_unit": "inventory",
    "epoch": 1,
    "attempts": 1,
    "began_at": "2026-06-01T12:00:10Z",
    "opened_at": "2026-06-01T12:00:10.020Z",
    "lock_to_commit_ms": 7.0,
    "lock_to_open_ms": 9.0,
}


@pytest.mark.parametrize("evidence", [SWITCH, {"stage": "cutover", "evidence": SWITCH}])
def test_a_switch_is_told_with_the_slowest_request_that_overlapped_it(evidence: dict[str, Any]) -> None:
    report = report_of(
        findings(
            stages=[stage_record(key, evidence=evidence if key == "cutover" else {}) for key in MOVES],
            samples=[
                {"due_at": at(9.0), "latency_ms": 1500.0},  # under way when it began
                {"due_at": at(10.01), "latency_ms": 40.0},
                {"due_at": at(9.0), "latency_ms": 999.0},  # over before
                {"due_at": at(10.03), "latency_ms": 5000.0},  # due after
            ],
        )
    )
    assert report.cutover is not None
    assert (report.cutover.lock_to_open_ms, report.cutover.to_unit) == (9.0, "inventory")
    assert (report.cutover.overlapping_requests, report.cutover.slowest_overlapping_request_ms) == (2, 1500.0)
    assert report.rollback is None


def test_a_stage_that_switched_nothing_has_no_switch() -> None:
    assert switch_in({"sentence": "inventory lives in inventory", "evidence": {}}) is None


def test_latency_is_told_before_during_and_after_the_migration() -> None:
    stages = [
        stage_record("quiet_before", 0, 10),
        stage_record("provision", 20, 30),
        stage_record("cutover", 40, 41),
        stage_record("quiet_after", 41, 50),
        stage_record("rollback", 120, 121),
    ]
    due: dict[str, list[float]] = {
        "before": [0, 9.9],
        "between": [15],
        "during": [20, 39],
        "after": [45],
        "settling": [60, 100.9],
        "past": [102],
    }
    samples = [{"due_at": at(second)} for seconds in due.values() for second in seconds]
    latency = report_of(findings(stages=stages, samples=samples)).latency
    told = {phase: latency[phase].requests for phase in ("before", "during", "after")}
    assert told == {"before": 2, "during": 5, "after": 1}  # during ends a minute after the cutover


def test_a_rollback_ends_what_counts_as_during_the_migration() -> None:
    stages = [stage_record("provision", 20, 30), stage_record("cutover", 40, 41), stage_record("rollback", 50, 51)]
    samples = [{"due_at": at(second)} for second in (45, 49, 51, 60)]
    assert report_of(findings(stages=stages, samples=samples)).latency["during"].requests == 2


def test_deploys_are_told_before_and_after_with_the_requests_that_failed_meanwhile() -> None:
    def deploy(began_s: float, seconds: float, unit: str, modules: tuple[str, ...]) -> Deploy:
        return Deploy(
            unit=unit,
            release="r2",
            modules=modules,
            began_at=at(began_s),
            ended_at=at(began_s + seconds),
            seconds=seconds,
            units_restarted=1,
            modules_restarted=len(modules),
            outcome="done",
        )

    everything = ("inventory", "orders", "payments", "users")
    deploys = report_of(
        findings(
            deploys_before=[deploy(began_s, seconds, "monolith", everything) for began_s, seconds in ((0, 5), (10, 9))],
            deploys_after=[deploy(30, 2, "inventory", ("inventory",))],
            samples=[{"due_at": at(11), "problem": "answered 502"}, {"due_at": at(25), "problem": "answered 502"}],
        )
    ).deploys
    assert (deploys.before.count, deploys.before.median_seconds, deploys.before.modules_restarted) == (2, 7.0, 4)
    assert (deploys.after.count, deploys.after.median_seconds, deploys.after.modules_restarted) == (1, 2.0, 1)
    assert (deploys.before.failed_requests, deploys.after.failed_requests) == (1, 0)


def test_memory_is_told_at_the_peak_of_each_quiet_time() -> None:
    stages = [stage_record("quiet_before", 0, 10), stage_record("quiet_after", 50, 60)]
    memory = [
        MemorySample(at=at(second), mb={"web": mb, **more})
        for second, mb, more in ((1, 100, {}), (5, 120, {}), (30, 500, {}), (55, 90, {"web-inventory": 80.0}))
    ]
    told = report_of(findings(stages=stages, memory=memory)).memory_mb
    assert (told.total, told.before.total, told.after.total) == (500, 120, 170)
    assert told.after.by_process == {"web": 90, "web-inventory": 80}


def receipt(key: str, pieces: int, received: int | None, *, sku: str = "A-1") -> Entry:
    return Entry(
        operation="receive_goods",
        idempotency_key=key,
        customer="staff",
        lines=(LedgerLine(sku=sku, quantity=pieces),),
        status=None if received is None else 200,
        received=received,
        acknowledged=received is not None,
    )


def against_stock(entries: list[Entry], after: int) -> tuple[list[str], list[str]]:
    """Keys of what is lost and of what is doubled, of a product that had 10 pieces received before."""
    stock = {
        moment: {"A-1": StockFact(sku="A-1", received=n, on_hand=0)} for moment, n in (("before", 10), ("after", after))
    }
    lost, doubled = compare_receipts(entries, **stock)
    return [it.idempotency_key for it in lost], [it.idempotency_key or "sum" for it in doubled]


@pytest.mark.parametrize(
    ("signs_in_as", "lost"), [("same", 0), ("other", 1), ("nobody", 1)], ids=["there", "of somebody else", "gone"]
)
def test_an_acknowledged_account_is_lost_when_its_owner_cannot_sign_in(signs_in_as: str, lost: int) -> None:
    owner = uuid7()
    entry = Entry(
        operation="register",
        idempotency_key="k",
        customer="new@shop.example",
        lines=(),
        status=201,
        account_id=owner,
        acknowledged=True,
    )
    account = {"same": owner, "other": uuid7(), "nobody": None}[signs_in_as]
    compared = compare([entry], facts=[], seen={}, accounts={entry.customer: account})
    assert (len(compared.lost), compared.acknowledged_accounts, compared.acknowledged_orders) == (lost, 1, 0)


RECEIVED = [receipt("a", 5, 15), receipt("b", 3, 18)]


@pytest.mark.parametrize(
    ("entries", "after", "expected"),
    [
        (RECEIVED, 18, ([], [])),
        ([*RECEIVED, receipt("a", 5, 15)], 18, ([], [])),  # the same answer again
        (RECEIVED, 15, (["b"], [])),  # the last one is gone
        ([receipt("a", 5, 15), receipt("b", 3, 13)], 15, (["a"], [])),  # one wrote over the other
        ([receipt("a", 5, 15), receipt("b", 3, 21)], 21, ([], ["sum"])),  # three pieces in between are nobody's
        ([*RECEIVED, receipt("a", 5, 23)], 23, ([], ["a"])),  # applied again, and said so
        ([*RECEIVED, receipt("c", 4, None)], 18, ([], [])),  # never answered, and not there
        ([*RECEIVED, receipt("c", 4, None)], 22, ([], [])),  # never answered, and there all the same
        ([*RECEIVED, receipt("c", 4, None)], 26, ([], ["sum"])),  # never answered, and there twice
    ],
)
def test_receipts_are_compared_with_the_stock(entries: list[Entry], after: int, expected: tuple[Any, Any]) -> None:
    assert against_stock(entries, after) == expected


def test_a_receipt_of_a_product_that_is_gone_is_lost() -> None:
    before = {"A-1": StockFact(sku="A-1", received=10, on_hand=0)}
    lost, _ = compare_receipts(RECEIVED, before=before, after={})
    assert [it.idempotency_key for it in lost] == ["a", "b"]


def test_an_interrupted_tour_says_so_and_claims_no_comparison() -> None:
    report = report_of(findings(interrupted=True, comparison=None, invariants=None))
    assert (report.verdict, report.exit_status) == ("interrupted", 130)
    assert (report.ledger.lost, report.ledger.doubled, report.invariants) == (None, None, {})


class Misbehaving(BaseHTTPRequestHandler):
    """A shop with one product. It pauses for a second after so many requests, and drops the first order's answer."""

    protocol_version = "HTTP/1.1"
    gate: threading.Event
    seen: list[tuple[str, str]]
    """The cookie that a request carried, and the one that its answer set."""
    numbers: Iterator[int]
    orders: dict[str, str]
    pauses_after = 0
    paused: list[float]
    """When the pause began and ended."""

    def do_GET(self) -> None:
        self.pause()
        product = {"sku": "A-1", "name": "Adze", "category": "Tools", "available": 99, "price_cents": 1}
        if self.path.startswith("/api/orders/"):
            self.answer(200, {"id": self.path.split("/")[3], "state": "confirmed"})
        elif self.path.startswith("/api/payments/"):
            self.answer(404, {})
        elif self.path == "/api/users/me/":
            self.answer(200, {"email": self.headers["Authorization"].removeprefix("Bearer ")})
        elif self.path.startswith("/api/inventory/A-1/"):
            self.answer(200, product)
        else:
            self.answer(200, {"products": [product], "after": None})

    def do_POST(self) -> None:
        self.pause()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/users/login/":
            self.answer(200, {"token": body["email"]})
            return
        if self.path == "/api/users/":
            self.answer(201, {"id": str(uuid7())})
            return
        key, is_first = self.headers["Idempotency-Key"], not self.orders
        order_id = self.orders.setdefault(key, str(uuid7()))
        if is_first:
            self.close_connection = True
        else:
            self.answer(201, {"id": order_id, "total_cents": 1, "lines": body["lines"]})

    def pause(self) -> None:
        if next(self.numbers) == self.pauses_after:
            self.gate.clear()
            self.paused.append(time.monotonic())
            threading.Timer(1, self.resume).start()
        self.gate.wait()

    def resume(self) -> None:
        self.paused.append(time.monotonic())
        self.gate.set()

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        carried, given = self.headers.get("Cookie", ""), ""
        if not carried:
            given = f"cohort={uuid7().hex}"
            self.send_header("Set-Cookie", f"{given}; Path=/; HttpOnly")
        self.seen.append((carried, given))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None: ...


@contextmanager
def misbehaving() -> Iterator[tuple[str, type[Misbehaving]]]:
    class Handler(Misbehaving):
        gate = threading.Event()
        numbers = count(1)
        orders: dict[str, str] = {}
        seen: list[tuple[str, str]] = []
        paused: list[float] = []

    Handler.gate.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", Handler
        finally:
            server.shutdown()
            thread.join()


class WatchedLedger(Ledger):
    """Tells of the first answer that was lost."""

    on_lost: Callable[[], None] | None = None

    def write(self, entry: Entry) -> None:
        super().write(entry)
        if not entry.acknowledged and self.on_lost is not None:
            self.on_lost()


def load(
    url: str,
    ledger: Path,
    *,
    seconds: float,
    busy_at_s: float = 0,
    busy_s: float = 0,
    ends_with_a_lost_answer: bool = False,
) -> tuple[float, list[Sample]]:
    """When a load of 100 requests a second began, and its samples."""

    async def run() -> tuple[float, bytes]:
        samples = BytesIO()
        with WatchedLedger(ledger) as open_ledger:
            town = Town(
                rng=random.Random(1), ledger=open_ledger, customers=[Customer("customer-001@shop.example")], password=""
            )
            async with client_of(url) as client:
                running = Load(client, town, samples)
                running.loop.call_later(busy_at_s, time.sleep, busy_s)
                if ends_with_a_lost_answer:
                    open_ledger.on_lost = running.stopped.set
                await running.run(random.Random(1), rate=100, seconds=seconds)
        return running.begun, samples.getvalue()

    begun, lines = asyncio.run(run())
    return begun, [msgspec.json.decode(line, type=Sample) for line in lines.splitlines()]


def test_a_pause_of_the_shop_shows_in_every_request_that_was_due_in_it(tmp_path: Path) -> None:
    with misbehaving() as (url, shop):
        shop.pauses_after = 60
        begun, samples = load(url, tmp_path / "ledger.jsonl", seconds=2.5)
    paused, resumed = (moment - begun for moment in shop.paused)
    due_in_pause = [it for it in samples if paused < it.at_s < resumed]
    assert len(due_in_pause) > 60, "customers keep coming while the shop pauses"
    for it in due_in_pause:
        assert it.latency_ms >= 1000 * (resumed - it.at_s) - 1


def test_each_visit_keeps_the_cookie_that_it_was_given_to_itself(tmp_path: Path) -> None:
    with misbehaving() as (url, shop):
        load(url, tmp_path / "ledger.jsonl", seconds=3)
    given = [cookie for _, cookie in shop.seen if cookie]
    carried = [cookie for cookie, _ in shop.seen if cookie]
    assert len(given) > 5, "every visit begins without one"
    assert len(carried) > len(given), "and keeps it from then on"
    assert set(carried) <= set(given)


def test_a_sample_says_when_it_was_by_the_clock(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    with misbehaving() as (url, _):
        _, samples = load(url, tmp_path / "ledger.jsonl", seconds=1)
    first = samples[0]
    assert before <= first.due_at <= first.sent_at <= first.answered_at <= datetime.now(UTC)


def test_a_busy_sender_counts_its_own_delay(tmp_path: Path) -> None:
    with misbehaving() as (url, _):
        _, samples = load(url, tmp_path / "ledger.jsonl", seconds=1.5, busy_at_s=0.5, busy_s=0.5)
    delayed = [it for it in samples if 0.55 < it.at_s < 0.75]
    assert len(delayed) > 5
    for it in delayed:
        assert it.latency_ms > 1000 * (0.95 - it.at_s)


def test_a_lost_answer_to_an_order_is_asked_for_again_under_the_same_key(tmp_path: Path) -> None:
    with misbehaving() as (url, shop):
        _, samples = load(url, tmp_path / "ledger.jsonl", seconds=4)
        orders = dict(shop.orders)
    entries = entries_in(tmp_path / "ledger.jsonl")
    (lost,) = [entry for entry in entries if not entry.acknowledged]
    assert lost.status is None
    assert (
        str(next(it.order_id for it in entries if it.idempotency_key == lost.idempotency_key and it.acknowledged))
        == (orders[lost.idempotency_key])
    )
    assert [it.step for it in samples if it.problem] == ["place_order"]


def test_an_answer_that_was_lost_as_the_load_ended_is_still_asked_for(tmp_path: Path) -> None:
    with misbehaving() as (url, _):
        load(url, tmp_path / "ledger.jsonl", seconds=20, ends_with_a_lost_answer=True)
    bought = [it for it in entries_in(tmp_path / "ledger.jsonl") if it.operation != "register"]
    lost, *later = bought
    assert not lost.acknowledged
    assert [it.acknowledged for it in later if it.idempotency_key == lost.idempotency_key] == [True]


def test_the_same_seed_sends_requests_at_the_same_moments(tmp_path: Path) -> None:
    def moments(seed: int) -> list[float]:
        options = ("--url", url, "--seconds", "0.5", "--seed", str(seed), "--out", str(tmp_path), "--staff", "")
        subprocess.run([sys.executable, "-m", "shop.tour.load", *options], cwd=ROOT, check=True, capture_output=True)
        return sorted(it.at_s for it in samples_in(tmp_path / "requests.jsonl"))

    with misbehaving() as (url, _):
        assert len(moments(1)) > 5
        assert moments(1) == moments(1) != moments(2)


def test_a_stage_that_is_explained_says_what_comes_and_why_and_waits() -> None:
    out, said_before = StringIO(), []
    display = GuidedDisplay(OutputWrapper(out), lambda: said_before.append(out.getvalue()))
    stage = stages_of("inventory", deploys=3)["cutover"]
    with display.stage(stage):
        said_before.append("begun")
    (explanation, begun) = said_before
    assert stage.title in explanation
    assert stage.why[1:] in explanation
    assert "Enter" in explanation
    assert begun == "begun"


def test_an_explained_tour_waits_in_a_terminal_and_ctrl_c_ends_it_before_anything_starts(state: Path) -> None:
    ours, theirs = pty.openpty()
    tour = subprocess.Popen(
        [sys.executable, "manage.py", "tour", "--explain"],
        cwd=ROOT,
        env=environment(state),
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    said = b""
    while b"Enter to go on" not in said:
        said += os.read(ours, 1024)
    assert not (state / "tour").exists()
    with suppress(OSError):  # a closed terminal ends so
        while tour.poll() is None:
            tour.send_signal(signal.SIGINT)  # and again, as a person would whose Ctrl-C fell between two statements
            while select.select([ours], [], [], 5)[0] and (more := os.read(ours, 1024)):
                said += more
    os.close(ours)
    assert tour.wait(timeout=30) == 130, said
    assert b"Interrupted" in said


TOUR = (sys.executable, "manage.py", "tour", "--plain")


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory. Not a tmp_path: PostgreSQL runs as another user, who may not look into those."""
    directory = Path(tempfile.mkdtemp(prefix="shop-tour-"))
    yield directory
    shutil.rmtree(directory)


def environment(state: Path) -> dict[str, str]:
    return unembedded() | {"SHOP_STATE_DIR": str(state), "PYTHONUNBUFFERED": "1"}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


UNITS = {"monolith": {"postgres", "web", "worker", "errands", "envoy"}}
UNITS["inventory"] = {f"{name}-inventory" for name in ("postgres", "web", "worker")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_tour_takes_a_module_out_and_can_be_recounted_from_its_raw_files(state: Path) -> None:
    options = ("--minutes", "0.2", "--rate", "12", "--deploys", "1", "--seed", "3")
    tour = subprocess.run([*TOUR, *options], cwd=ROOT, env=environment(state), capture_output=True, text=True)
    assert tour.returncode == 0, tour.stdout + tour.stderr
    assert running_for(state) == []

    directory = state / "report"
    report = json.loads((directory / "report.json").read_text())
    requests, ledger, facts, orders, stock_before, stock = (
        lines_of(directory / f"{name}.jsonl")
        for name in ("requests", "ledger", "facts", "orders", "stock_before", "stock")
    )
    assert (report["verdict"], report["reasons"], report["seed"]) == ("passed", [], 3)
    assert (report["module"], report["home"], report["epoch"]) == ("inventory", "inventory", 3)
    assert [stage["key"] for stage in report["stages"]] == list(stages_of("inventory", deploys=1))
    assert {stage["outcome"] for stage in report["stages"]} == {"done"}
    assert set(report["invariants"].values()) == {True}
    assert report["requests"]["total"] == len(requests) > 100
    assert report["requests"]["failed"] == sum(1 for it in requests if it["problem"]) == 0
    assert report["ambiguous"] == report["ledger"]["lost"] == report["ledger"]["doubled"] == 0

    answered = {it["idempotency_key"]: it for it in ledger if it["acknowledged"]}
    acknowledged = {key: it for key, it in answered.items() if it["operation"] != "register"}
    receipts = {key: it for key, it in acknowledged.items() if it["received"] is not None}
    assert report["ledger"]["acknowledged"] == len(answered)
    assert report["ledger"]["accounts"] == len(answered) - len(acknowledged)
    assert report["ledger"]["receipts"] == len(receipts) > 0
    assert report["ledger"]["orders"] == len(acknowledged) - len(receipts) > 0
    fact_of, order_of = {it["id"]: it for it in facts}, {it["id"]: it for it in orders}
    for key in acknowledged.keys() - receipts.keys():
        entry = acknowledged[key]
        fact, order = fact_of[entry["order_id"]], order_of[entry["order_id"]]
        lines = {line["sku"]: line["quantity"] for line in entry["lines"]}
        assert lines == fact["quantities"] == {line["sku"]: line["quantity"] for line in order["lines"]}
        assert entry["total_cents"] == fact["total_cents"] == order["total_cents"]
        assert fact["idempotency_key"] == key
    assert max(Counter(it["idempotency_key"] for it in facts).values()) == 1
    due = Counter({it["sku"]: it["received"] for it in stock_before})
    for it in receipts.values():
        due[it["lines"][0]["sku"]] += it["lines"][0]["quantity"]
    assert due == Counter({it["sku"]: it["received"] for it in stock})

    homes = ("monolith", "inventory", "monolith", "inventory")
    for number, name in enumerate(("cutover", "rollback", "second_cutover"), start=1):
        switch = report[name]
        assert (switch["from_unit"], switch["to_unit"], switch["epoch"]) == (*homes[number - 1 : number + 1], number)
        assert switch["lock_to_open_ms"] > 0
        began, opened = (datetime.fromisoformat(switch[moment]) for moment in ("began_at", "opened_at"))
        overlapping = [
            it["latency_ms"]
            for it in requests
            if (due_at := datetime.fromisoformat(it["due_at"])) <= opened
            and due_at + timedelta(milliseconds=it["latency_ms"]) >= began
        ]
        assert switch["slowest_overlapping_request_ms"] == max(overlapping, default=None)
    assert report["deploys"]["before"]["count"] == report["deploys"]["after"]["count"] == 1
    assert report["deploys"]["before"]["modules_restarted"] == 4
    assert report["deploys"]["after"]["modules_restarted"] == 1
    assert report["deploys"]["before"]["failed_requests"] == report["deploys"]["after"]["failed_requests"] == 0

    latencies = defaultdict(list)
    for it in requests:
        latencies[it["step"]].append(it["latency_ms"])
    for step, values in latencies.items():
        figures = report["latency"][step]
        assert values.index(figures["p50_ms"]) >= 0
        assert sum(1 for value in values if value <= figures["p95_ms"]) >= 0.95 * len(values)
    assert all(report["latency"][phase]["requests"] > 0 for phase in ("before", "during", "after"))
    bought = len(acknowledged) - len(receipts)
    assert report["orders_per_second"] == pytest.approx(bought / report["load_s"], abs=0.01)
    assert set(report["memory_mb"]["before"]["by_process"]) == UNITS["monolith"]
    assert set(report["memory_mb"]["after"]["by_process"]) == UNITS["monolith"] | UNITS["inventory"]
    assert {"python", "django", "postgresql", "celery", "kombu"} <= set(report["versions"])
    units = {it["served_by"].partition("/")[0] for it in requests}
    assert units == {"monolith", "inventory"}

    page = (directory / "index.html").read_text()
    assert page.count("<svg") == 10
    assert "http-equiv" not in page
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page), "the page needs nothing from elsewhere"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("until", "stage"), [(" requests, ", "quiet_before"), ("Providing a database", "provision")])
def test_ctrl_c_stops_a_tour_which_still_reports_and_leaves_nothing(state: Path, until: str, stage: str) -> None:
    tour = subprocess.Popen(
        [*TOUR, "--rate", "12", "--minutes", "0.2", "--deploys", "0"],
        cwd=ROOT,
        env=environment(state),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tour.stdout is not None
    said = ""
    for line in tour.stdout:
        said += line
        if until in line:
            tour.send_signal(signal.SIGINT)
            break
    said += tour.stdout.read()
    assert tour.wait(timeout=60) == 130, said
    report = json.loads((state / "report" / "report.json").read_text())
    assert report["interrupted"] is True
    assert report["verdict"] == "interrupted"
    assert (report["stages"][-1]["key"], report["stages"][-1]["outcome"]) == (stage, "interrupted")
    assert report["requests"]["total"] > 0
    assert (state / "report" / "index.html").exists()
    assert running_for(state) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--minutes", "0"), "--minutes 0: give a number above 0"),
        (("--module", "parcels"), "--module parcels: there is no such module; take inventory or orders or"),
        (("--explain",), "--explain waits for Enter and needs a terminal"),
        (("--rate", "-5"), "--rate -5: give a number above 0"),
        (("--rate", "nan"), "--rate nan: give a number above 0"),
        (("--port", "70000"), "--port 70000 is no port"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_before_anything_starts(
    options: tuple[str, ...], complaint: str
) -> None:
    with pytest.raises(CommandError, match=re.escape(complaint)):
        call_command("tour", *options)


def test_a_tour_never_writes_into_the_servers_of_its_environment() -> None:
    given = {"DATABASE_URL": "a", "BROKER_URL": "b", "ORDERS_DATABASE_URL": "c", "PATH": "d"}
    assert conductor._without_servers(given) == {"PATH": "d"}
