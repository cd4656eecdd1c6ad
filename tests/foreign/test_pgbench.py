"""A bank that pgbench writes to moves, and every write is refused that comes too late."""

import time

import pytest

from tests.extraction.conftest import Servers
from tests.foreign.bank import CLIENTS, Lag, bank, pgbench

pytestmark = pytest.mark.skipif(pgbench() is None, reason="no pgbench: apt install postgresql-contrib")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_write_of_pgbench_is_lost_doubled_or_late(servers: Servers) -> None:
    with bank(servers.source.postgres, servers.target.postgres) as moving:
        moving.provide()
        flagged = moving.blocked()
        assert [each.code for each in flagged] == ["key", "key"]
        for obstacle in flagged:
            assert moving.mend(obstacle) == 'ALTER TABLE "bank"."pgbench_history" REPLICA IDENTITY FULL;'
        assert moving.blocked() == []

        copied = moving.bench("monolith", "-T", "4", "--rate", "300")
        moving.replicate()
        assert moving.counted(copied).acknowledged > 0
        followed = moving.bench("monolith", "-T", "3", "--rate", "300")
        with Lag(moving) as lag:
            assert moving.counted(followed).acknowledged > 0
        assert lag.ms

        leaving = moving.bench("monolith", "-T", "20", "--rate", "300")
        time.sleep(1)
        gone = moving.move(to="bank")
        at_commit = moving.balances("monolith")
        refused = moving.counted(leaving)
        assert refused.moved + refused.in_motion == CLIENTS, refused.output
        late = moving.counted(moving.bench("monolith", "-t", "1"))
        assert (late.acknowledged, late.moved) == (0, CLIENTS), late.output
        assert moving.balances("monolith") == at_commit
        assert moving.settled() == (at_commit, at_commit)

        returning = moving.bench("bank", "-T", "20", "--rate", "300")
        time.sleep(1)
        back = moving.move(to="monolith")
        assert moving.counted(returning).acknowledged > 0
        assert moving.counted(moving.bench("monolith", "-t", "5")).acknowledged == 5 * CLIENTS

        source, target = moving.settled()
        assert source == target
        rows, *sums = source
        assert rows == moving.acknowledged
        assert len(set(sums)) == 1
        assert (gone.epoch, back.epoch) == (1, 2)
