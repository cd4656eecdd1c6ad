"""What keeps a new home closed is told with what ends it."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from extraction.cutover.errors import Behind, NotOpen
from extraction.cutover.sessions import Place
from extraction.cutover.switch import _wait_until_open, switch
from extraction.replicate.pair import Pair, Side
from extraction.replicate.progress import is_complete
from tests.extraction.conftest import Server, Servers, connect, wait_for
from tests.extraction.test_switch import place

pytestmark = pytest.mark.timeout(120)
LOCK_HEARTBEAT = "lock table inventory.inventory_heartbeat in exclusive mode"
LOCK_ROW = "select from inventory.inventory_placement for update"


@contextmanager
def prepared_transactions(server: Server, side: Side) -> Iterator[None]:
    """A server that allows them; none is left in this database."""

    def set_most(statement: str) -> None:
        with psycopg.connect(server.postgres.url(), autocommit=True) as admin:
            admin.execute(sql.SQL(statement))
        server.stop()
        server.start()

    set_most("alter system set max_prepared_transactions = 5")
    try:
        yield
    finally:
        with connect(side) as admin:
            for (gid,) in admin.execute("select gid from pg_prepared_xacts where database = current_database()"):
                admin.execute(sql.SQL("rollback prepared {}").format(sql.Literal(gid)))
        set_most("alter system reset max_prepared_transactions")


def test_names_a_prepared_transaction_for_which_the_stream_waits(joined: Pair, servers: Servers) -> None:
    with prepared_transactions(servers.target, joined.target):
        wait_for(lambda: not is_complete(joined))
        ends = prepare_transaction(joined, LOCK_HEARTBEAT)
        with pytest.raises(Behind, match="waits for prepared transaction it's %s of postgres") as late:
            switch(joined, to="inventory", attempts=1)
        assert f"end that with {ends}, then run: manage.py extract cutover" in str(late.value)
        run(joined, ends)

        prepare_transaction(joined, LOCK_ROW)
        told: list[str] = []
        with pytest.raises(NotOpen):
            switch(joined, to="inventory", open_within_s=1, tell=told.append)
        assert [line for line in told if line.endswith(f"commit it, or run there: {ends};")], told
        run(joined, ends)
        wait_for(lambda: place(joined, joined.target) == ("inventory", 1))


def test_only_what_the_source_gave_away_can_be_recalled(joined: Pair) -> None:
    for unit, is_named in (("inventory", True), ("monolith", False)):
        with pytest.raises(NotOpen) as closed:
            _wait_until_open(joined, Place(unit, 5), 0.2, "manage.py extract status inventory", lambda _: None)
        assert ("extract recall" in str(closed.value)) == is_named


def prepare_transaction(pair: Pair, statement: str) -> str:
    """Leave it open on the target. Returns what ends it."""
    with connect(pair.target) as admin:
        admin.execute("begin")
        admin.execute(sql.SQL(statement))
        admin.execute("prepare transaction 'it''s %s'")
    return "ROLLBACK PREPARED 'it''s %s'"


def run(pair: Pair, statement: str) -> None:
    with connect(pair.target) as admin:
        admin.execute(sql.SQL(statement))
