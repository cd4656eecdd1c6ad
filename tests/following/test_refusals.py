"""What a connection remembers of a refusal, and what an operation has committed."""

import pickle
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import DatabaseError, connections
from django.db import transaction as django_transaction

from contracts.runtime import transaction
from extraction.boundaries.operations import Operation, Refusal
from extraction.placement import where
from extraction.placement.errors import ModuleInMotion, ModuleMoved, RefusalSwallowed
from tests.following.conftest import ELSEWHERE, Moving
from tests.following.urls import rows, write

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]


def swallowing() -> None:
    """A savepoint around a write, and a refusal that nobody hears of."""
    try:
        with django_transaction.atomic(using="inventory"):
            write("inventory")
    except DatabaseError:
        pass


def test_a_swallowed_refusal_comes_whole_out_of_a_process_of_a_pool() -> None:
    error = RefusalSwallowed(Refusal(module="inventory", home=ELSEWHERE, epoch=1))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.refusal) == (str(error), error.refusal)


def test_a_refusal_says_whose_it_is(inventory: Moving) -> None:
    epoch = inventory.leave()
    with Operation("request", "test") as operation, pytest.raises(DatabaseError) as caught:
        write("inventory")
    assert isinstance(caught.value.__cause__, ModuleMoved)
    assert operation.refusal == Refusal("inventory", home=ELSEWHERE, epoch=epoch)
    assert operation.untouched


def test_a_motion_says_whose_it_is(inventory: Moving) -> None:
    with inventory.in_motion(), Operation("request", "test") as operation:
        with pytest.raises(DatabaseError) as caught:
            write("inventory")
    assert isinstance(caught.value.__cause__, ModuleInMotion)
    assert operation.refusal is not None
    assert operation.refusal.in_motion


def test_a_swallowed_refusal_ends_the_transaction_without_an_operation_too(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(RefusalSwallowed, match="let the DatabaseError through"), transaction("inventory"):
        swallowing()


def test_a_swallowed_refusal_of_many_rows_ends_it_too(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(RefusalSwallowed), transaction("inventory"):
        try:
            with django_transaction.atomic(using="inventory"), connections["inventory"].cursor() as cursor:
                cursor.executemany("DELETE FROM outbox WHERE key = %s", [("a",), ("b",)])
        except DatabaseError:
            pass


def test_a_refusal_that_is_swallowed_without_a_savepoint_is_not_taken_for_a_commit(inventory: Moving) -> None:
    """PostgreSQL answers such a COMMIT with ROLLBACK, and nobody would notice."""
    inventory.leave()
    with pytest.raises(RefusalSwallowed), transaction("inventory"):
        with suppress(DatabaseError):
            write("inventory")


def test_a_refusal_is_forgotten_with_its_transaction(inventory: Moving) -> None:
    inventory.leave()
    with pytest.raises(RefusalSwallowed), transaction("inventory"):
        swallowing()
    inventory.arrive()
    with transaction("inventory"):
        write("inventory")
    assert rows("inventory") == 1


def test_a_refusal_is_forgotten_with_its_connection(inventory: Moving) -> None:
    """Closed inside a transaction: Django neither commits nor rolls back."""
    inventory.leave()
    with transaction("inventory"):
        swallowing()
        connections["inventory"].close()
    inventory.arrive()
    with transaction("inventory"):
        write("inventory")
    assert rows("inventory") == 1


@contextmanager
def writing_at_commit(inventory: Moving) -> Iterator[None]:
    """A table without a fence, whose rows write to one that has it, as late as can be."""
    with connections["inventory"].cursor() as cursor:
        cursor.execute("CREATE TABLE late (what int)")
        cursor.execute(
            "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN DELETE FROM outbox WHERE false; RETURN null; END $$"
        )
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION late()"
        )
    try:
        yield
    finally:
        with connections["inventory"].cursor() as cursor:
            cursor.execute("DROP TABLE late")
            cursor.execute("DROP FUNCTION late()")


def test_a_refusal_at_the_commit_is_one_and_no_commit(inventory: Moving) -> None:
    with writing_at_commit(inventory):
        inventory.leave()
        with Operation("request", "test") as operation:
            with pytest.raises(DatabaseError), transaction("inventory"), connections["inventory"].cursor() as cursor:
                cursor.execute("INSERT INTO late VALUES (1)")
        assert operation.refusal is not None
        assert operation.untouched


def test_a_refusal_inside_a_test_case_is_seen_as_in_a_request(inventory: Moving) -> None:
    """The outermost block is a savepoint there."""
    inventory.leave()
    around = django_transaction.atomic(using="inventory")
    around._from_testcase = True  # type: ignore[attr-defined]
    with around:
        with pytest.raises(RefusalSwallowed), transaction("inventory"):
            swallowing()
        with transaction("inventory"), connections["inventory"].cursor() as cursor:
            cursor.execute("SELECT 1")


def test_commits_are_counted_by_alias_and_count_for_what_they_are_nested_in(inventory: Moving) -> None:
    with Operation("request", "test") as request:
        with transaction("inventory"):
            rows("inventory")
        assert request.untouched, "nothing was written"
        with Operation("handler", "test"), transaction("inventory"):
            write("inventory")
            write("inventory")
        write("orders")
    assert request.committed == {"inventory": 1, "orders": 1}
    assert not request.untouched


def test_a_commit_that_the_database_refused_is_none_and_one_that_got_no_answer_may_be_one(inventory: Moving) -> None:
    with Operation("request", "test") as refused, pytest.raises(DatabaseError), transaction("inventory"):
        write("inventory")
        with connections["inventory"].cursor() as cursor:
            cursor.execute("SELECT 1/0")
    assert refused.untouched
    with Operation("request", "test") as unanswered:
        with pytest.raises(DatabaseError), transaction("inventory"):
            write("inventory")
            pid = connections["inventory"].connection.info.backend_pid
            inventory.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    connections["inventory"].close()
    assert unanswered.committed == {"inventory": 1}


def test_a_conflict_in_a_module_that_does_not_move_is_no_refusal(inventory: Moving) -> None:
    inventory.unfence()
    try:
        with Operation("request", "test") as operation, pytest.raises(DatabaseError):
            conflict(inventory)
        assert operation.refusal is None
    finally:
        inventory.fence()


def conflict(inventory: Moving) -> None:
    """Two writers of one row, of which one has an old snapshot."""
    write("inventory")
    with transaction("inventory"), connections["inventory"].cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT count(*) FROM outbox")
        inventory.admin.execute("UPDATE inventory.outbox SET key = 'theirs'")
        cursor.execute("UPDATE outbox SET key = 'ours'")


def test_what_is_remembered_is_not_older_than_a_second(inventory: Moving, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert where.place("inventory").here
    inventory.leave()
    now += where.KNOWN_FOR_S - 0.01
    assert where.place("inventory").here
    now += 0.02
    assert not where.place("inventory").here


def test_a_connection_that_the_server_ended_is_made_anew(inventory: Moving) -> None:
    """As after a restart of the server, for a redirected request that waits and for the relay."""
    where.place_now("inventory")
    pid = connections["inventory"].connection.info.backend_pid
    inventory.admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(DatabaseError):
        where.place_now("inventory")
    assert where.place_now("inventory").here


def test_an_older_row_does_not_replace_what_a_refusal_said(inventory: Moving) -> None:
    _, epoch = inventory.place()
    where.learn(Refusal("inventory", home=ELSEWHERE, epoch=epoch + 5))
    where.place_now("inventory")
    assert where.place("inventory").home == ELSEWHERE


def test_the_errors_are_those_of_the_sqlstates() -> None:
    assert psycopg.errors.lookup("MV001") is ModuleMoved
    assert psycopg.errors.lookup("MV002") is ModuleInMotion


def test_a_look_at_the_placement_is_not_a_statement_of_who_runs(inventory: Moving) -> None:
    seen: list[Any] = []

    def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connections["inventory"].execute_wrapper(note):
        where.place_now("inventory")
    assert seen == []
