"""The home moves back and forth under eight hostile writers while coordinators die; nothing is lost or doubled.

`CHAOS_ROUNDS=40 uv run pytest tests/chaos/test_switches.py -s` for the full figure; a round is a switch there and back,
and a coordinator that dies.
"""

import os
import random
import signal

import pytest

from extraction.cutover.failpoints import FAILPOINTS
from extraction.cutover.switch import Switch, switch
from extraction.replicate.pair import Pair
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import connect, pair, servers, wait_for
from tests.extraction.coordinator import coordinator
from tests.extraction.writers import Writers

__all__ = ["pair", "servers"]

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "3"))
DEATHS = [name for name in FAILPOINTS if name.startswith("cutover.")]


def home(pair: Pair) -> str:
    """Where both sides say that it lives, as soon as they agree."""

    def agreed() -> str:
        said = []
        for side in (pair.source, pair.target):
            with connect(side) as admin:
                said.append(admin.execute(pair.objects.query("read")).fetchone())
        return said[0][0] if said[0] and said[0] == said[1] else ""

    return str(wait_for(agreed))


def other(pair: Pair) -> str:
    return pair.other(home(pair)).unit


@pytest.mark.slow
@pytest.mark.timeout(120 + 20 * ROUNDS)
def test_nothing_is_lost_or_doubled_while_the_home_moves_and_coordinators_die(pair: Pair) -> None:
    prepare(pair)
    start(pair)
    follow(pair, tell=print, timeout_s=60)
    moves: list[Switch] = []
    pick = random.Random(7)
    with Writers(pair) as writers:
        for _ in range(ROUNDS):
            for _ in range(2):
                written = len(writers.acknowledged)
                moves.append(switch(pair, to=other(pair), tell=print))
                wait_for(lambda: len(writers.acknowledged) > written + 50)  # noqa: B023
            with coordinator(pair, failpoint=pick.choice(DEATHS), to=other(pair)) as process:
                assert process.wait(timeout=60) == -signal.SIGKILL
    print(
        f"{len(moves)} switches and {ROUNDS} that died: {len(writers.acknowledged)} acknowledged, "
        f"refusals {writers.refused}, worst from lock to open {max(move.lock_to_open_ms for move in moves):.1f} ms"
    )
    home(pair)
    writers.check()
    assert writers.refused["MV001"] > 0
