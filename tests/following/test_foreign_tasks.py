"""Celery tasks of a project that is not the shop: what they meet without a word about moving, and with one line."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery, Task, chain, current_app
from celery.app.trace import reset_worker_optimizations
from celery.beat import Scheduler
from celery.contrib.testing.worker import start_worker
from celery.signals import task_failure
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from extraction.placement import tasks
from extraction.placement.errors import ModuleMoved, NotSentOn
from extraction.placement.tasks import FollowingTask, default_queue_has_a_way_back, module_of, queue_at
from extraction.replicate.pair import Side
from tests.extraction.cable import Cable
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.test_events import messages
from tests.following.urls import rows, write

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
QUEUE = f"{settings.UNIT}_foreign"
"""The default queue of the project."""
THERE = f"{ELSEWHERE}_foreign"
"""The same at the home."""


class ProjectTask(FollowingTask, Task):  # type: ignore[type-arg]
    abstract = True


before: list[Callable[[], Any]] = []
runs: list[int] = []
ids: list[str | None] = []


def of_inventory(number: int) -> None:
    """What every task below does."""
    runs.append(number)
    if before:
        before.pop(0)()
    write("inventory")


def of_inventory_and_itself(self: Any) -> None:
    ids.append(self.request.id)
    of_inventory(1)


of_inventory.__module__ = of_inventory_and_itself.__module__ = "modules.inventory.jobs"


def project(task_cls: type[Any]) -> Celery:
    app = Celery("foreign", task_cls=task_cls, set_as_current=False)
    app.conf.update(
        broker_url=settings.BROKER_URL,
        broker_transport_options=settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        task_default_queue=QUEUE,
        task_ignore_result=True,
        worker_enable_remote_control=False,
    )
    return app


app, plain = project(ProjectTask), project(Task)
early = app.task(name="early")(of_inventory)
late = app.task(name="late", acks_late=True)(of_inventory)
bound = app.task(name="bound", bind=True)(of_inventory_and_itself)
retrying = app.task(name="retrying", autoretry_for=(DatabaseError,), default_retry_delay=0, max_retries=3)(of_inventory)
unaware = plain.task(name="unaware")(of_inventory)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before.clear()
    runs.clear()
    ids.clear()
    for queue in (THERE, QUEUE):
        messages(queue)
    yield
    for queue in (THERE, QUEUE):
        messages(queue)


@contextmanager
def working(of: Celery = app, queue: str = QUEUE) -> Iterator[None]:
    """A real worker of the project, in a thread. It makes its app that of the process, which is the shop's."""
    shop = current_app._get_current_object()  # type: ignore[attr-defined]
    try:
        with start_worker(of, pool="solo", queues=[queue], perform_ping_check=False, loglevel="error"):
            yield
    finally:
        reset_worker_optimizations(of)
        shop.set_current()
        shop.set_default()


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def arrived(queue: str = THERE) -> list[tuple[str, str, Any]]:
    end = time.monotonic() + 60
    while not (found := messages(queue)):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("task", [early, late], ids=["acknowledged early", "acknowledged late"])
def test_a_task_that_was_queued_before_the_move_arrives_at_the_home_under_its_id(inventory: Moving, task: Any) -> None:
    task.apply_async(kwargs={"number": 7}, task_id="one")
    inventory.leave()
    with working():
        assert arrived() == [(task.name, "one", {"number": 7})]
    assert (runs, rows("inventory"), messages(QUEUE)) == ([], 0, [])


def test_a_task_that_waits_for_its_time_is_sent_on_when_that_has_come(inventory: Moving) -> None:
    early.apply_async(kwargs={"number": 7}, task_id="one", countdown=2)
    with working():
        time.sleep(0.5)  # the worker has it and waits
        inventory.leave()
        assert messages(THERE) == []
        assert arrived() == [("early", "one", {"number": 7})]
    assert runs == []


def test_a_task_that_retries_itself_comes_again_and_is_sent_on_once(inventory: Moving) -> None:
    before[:] = [inventory.leave]
    retrying.apply_async(kwargs={"number": 7}, task_id="one")
    with working():
        assert arrived() == [("retrying", "one", {"number": 7})]
        time.sleep(0.5)
    assert (runs, messages(QUEUE), messages(THERE)) == ([7], [], [])


def test_a_task_that_is_tried_again_is_still_the_one_that_was_sent(inventory: Moving) -> None:
    """Without its id and its retries it could not retry itself."""
    with inventory.in_motion() as switch:
        before[:] = [lambda: None, switch.give_up]
        bound.apply_async(task_id="one")
        with working():
            end = time.monotonic() + 60
            while len(ids) < 2:
                assert time.monotonic() < end, "waited in vain"
                time.sleep(0.05)
    assert ids == ["one", "one"]


def test_a_task_is_tried_again_here_while_its_module_is_in_motion(inventory: Moving) -> None:
    with inventory.in_motion() as switch:
        before[:] = [lambda: None, switch.give_up]
        early.apply_async(args=(7,), task_id="one")
        with working():
            until(lambda: rows("inventory"))
    assert (runs, rows("inventory"), messages(THERE)) == ([7, 7], 1, [])


@pytest.mark.parametrize(("task", "sent_on"), [(early, []), (late, ["one"])], ids=["early", "late"])
def test_what_has_committed_is_repeated_only_where_it_may_run_twice(
    inventory: Moving, task: Any, sent_on: list[str]
) -> None:
    def commit_first() -> None:
        write("orders")
        inventory.leave()

    before[:] = [commit_first]
    task.apply_async(args=(7,), task_id="one")
    with working(), failures() as failed:
        until(lambda: failed or depth(THERE))
    sent = [message[1] for message in messages(THERE)]
    assert sent == sent_on
    assert [isinstance(error, DatabaseError) for error in failed] == [True] * (not sent_on)


def test_what_follows_a_task_travels_with_it_and_does_not_run_here(inventory: Moving) -> None:
    inventory.leave()
    chain(early.si(7), early.si(8)).apply_async(task_id="last")
    with working():
        with app.connection_for_read() as connection, connection.SimpleQueue(THERE) as home:
            message = home.get(timeout=60)
            message.ack()
        time.sleep(0.5)
    body: Any = message.body
    embedded = json.loads(body)[2]
    assert [link["options"]["task_id"] for link in embedded["chain"]] == ["last"]
    assert (runs, messages(QUEUE), messages(THERE)) == ([], [], [])


def test_what_beat_sends_stands_by_and_what_code_sends_of_the_same_task_follows(inventory: Moving) -> None:
    entry = {"task": "early", "schedule": 1.0, "args": (7,), "options": {"task_id": "of beat"}}
    scheduling = project(ProjectTask)
    scheduling.conf.update(beat_schedule={"early": entry})
    beat = Scheduler(scheduling)
    beat.apply_async(beat.schedule["early"], advance=False)
    early.apply_async(kwargs={"number": 8}, task_id="of code")
    inventory.leave()
    with working():
        assert arrived() == [("early", "of code", {"number": 8})]
    assert (runs, messages(QUEUE), messages(THERE)) == ([], [], [])


@contextmanager
def failures() -> Iterator[list[Exception]]:
    """Of tasks, as a worker tells them."""
    found: list[Exception] = []

    def note(exception: Exception, **_: Any) -> None:
        found.append(exception)

    task_failure.connect(note)
    try:
        yield found
    finally:
        task_failure.disconnect(note)


@pytest.mark.parametrize("task", [early, late], ids=["acknowledged early", "acknowledged late"])
def test_a_task_that_cannot_be_sent_fails_or_goes_back_to_its_queue(
    inventory: Moving, task: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "SENDS_FOR_S", 0.5)
    inventory.leave(to="w" * 63)  # no queue of pgmq has so long a name
    task.apply_async(kwargs={"number": 7}, task_id="one")
    with working(), failures() as failed:
        if task is early:
            until(lambda: failed)
        else:
            time.sleep(3)  # tried, and tried again
    assert [type(error) for error in failed] == ([NotSentOn] if task is early else [])
    if task is early:
        assert str(failed[0]).endswith("send it again, with its arguments: celery -A project call early")
    else:
        assert arrived(QUEUE) == [("late", "one", {"number": 7})]
    assert runs == []


def test_a_broker_that_is_away_for_a_moment_loses_no_task_that_it_has_forgotten(inventory: Moving) -> None:
    broker = settings.BROKER_URL.replace("pgmq:", "postgresql:", 1)
    with Cable(Side("broker", broker), cut_before=THERE.encode()) as cable:
        far = project(ProjectTask)
        far.conf.update(
            broker_url=cable.side.url.replace("postgresql:", "pgmq:", 1),
            broker_transport_options={**app.conf.broker_transport_options, "conn_string": cable.side.url},
        )
        far.task(name="early")(of_inventory)
        early.apply_async(kwargs={"number": 7}, task_id="one")
        inventory.leave()
        with working(far):
            until(lambda: depth(THERE))
        assert cable.was_cut.is_set()
    assert messages(THERE) == [("early", "one", {"number": 7})]


def test_a_task_goes_out_and_comes_back_to_the_queue_that_it_was_in(inventory: Moving, settings: Any) -> None:
    """The first unit, `third` here, has queues without its name."""
    queues = {"third": ["plain", "plain_mail"], ELSEWHERE: [ELSEWHERE, f"{ELSEWHERE}_mail"]}

    def in_unit(unit: str) -> None:
        def at(home: str, queue: str) -> str:
            return queues[home][queues[unit].index(queue)]

        settings.EXTRACTION = {**settings.EXTRACTION, "unit": unit, "task_queue": at}

    early.apply_async(kwargs={"number": 7}, task_id="one", queue="plain_mail")
    in_unit("third")
    inventory.leave()
    with working(queue="plain_mail"):
        until(lambda: depth(f"{ELSEWHERE}_mail"))
    in_unit(ELSEWHERE)
    inventory.arrive("third")
    with working(queue=f"{ELSEWHERE}_mail"):
        until(lambda: depth("plain_mail"))
    assert messages(f"{ELSEWHERE}_mail") == []
    in_unit("third")
    inventory.arrive()
    with working(queue="plain_mail"):
        until(lambda: rows("inventory"))
    assert (runs, messages("plain_mail")) == ([7], [])


def depth(queue: str) -> int:
    with app.connection_for_read() as connection, connection.SimpleQueue(queue) as waiting:
        return int(waiting.qsize())


@pytest.mark.parametrize(
    ("extraction", "queue", "found"),
    [({}, "celery", ["extraction.E001"]), ({}, QUEUE, []), ({"task_queue": "some.thing"}, "celery", [])],
    ids=["no way back", "the unit's name", "said"],
)
def test_a_default_queue_without_a_way_back_is_found_before_a_worker_begins(
    extraction: dict[str, str], queue: str, found: list[str], settings: Any
) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, **extraction}
    shop = current_app._get_current_object()  # type: ignore[attr-defined]
    theirs = project(ProjectTask)
    theirs.conf.update(task_default_queue=queue)
    theirs.set_current()
    try:
        assert [message.id for message in default_queue_has_a_way_back(None)] == found
    finally:
        shop.set_current()


def test_a_task_that_is_applied_meets_the_refusal_itself(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(DatabaseError, match="inventory lives in"):
        early.apply(args=(7,), throw=True)
    assert (runs, messages(THERE), messages(THERE)) == ([7], [], [])


def test_without_the_line_a_task_fails_with_a_sentence_and_changes_nothing(inventory: Moving) -> None:
    inventory.leave()
    error = unaware.apply(args=(7,), task_id="one").result
    assert isinstance(error, DatabaseError)
    assert isinstance(error.__cause__, ModuleMoved)
    assert f"inventory lives in {ELSEWHERE}, not in {settings.UNIT}" in str(error)
    assert (rows("inventory"), messages(THERE)) == (0, [])


def test_a_task_called_like_a_function_meets_the_refusal_itself(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(DatabaseError, match="inventory lives in"):
        early(7)


@pytest.mark.parametrize(
    ("code", "module"),
    [("modules.inventory", "inventory"), ("modules.inventory.a.b", "inventory"), ("modules.inventory_x.tasks", None)],
)
def test_a_task_is_of_the_module_whose_app_its_code_is_in(code: str, module: str | None) -> None:
    assert module_of(code) == module


@pytest.mark.parametrize(
    ("queue", "there"),
    [(settings.UNIT, "far"), (f"{settings.UNIT}_mail", "far_mail")],
)
def test_each_queue_has_one_at_the_home_and_that_one_is_its_own(queue: str, there: str, settings: Any) -> None:
    unit = settings.UNIT
    assert queue_at("far", queue) == there
    settings.EXTRACTION = {**settings.EXTRACTION, "unit": "far"}
    assert queue_at(unit, there) == queue


@pytest.mark.parametrize("queue", ["celery", "mail", f"{settings.UNIT}x"])
def test_a_queue_without_the_name_of_its_unit_has_none_until_somebody_says_so(queue: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="task_queue"):
        queue_at("far", queue)


def test_a_project_may_say_its_queues_itself(settings: Any) -> None:
    settings.EXTRACTION = {**settings.EXTRACTION, "task_queue": lambda home, queue: f"{queue}@{home}"}
    assert queue_at("far", "mail") == "mail@far"
