"""How long writers are refused by a switch: uv run pytest tests/benchmarks/bench_switch.py -s"""

import statistics

import pytest

from extraction.cutover.switch import switch
from extraction.cutover.verify import verify
from extraction.replicate.pair import Pair
from extraction.replicate.stream import follow, prepare, start
from tests.extraction.conftest import pair, servers, wait_for
from tests.extraction.writers import Writers

__all__ = ["pair", "servers"]

ROUNDS = 20
"""Each there and back."""


@pytest.mark.timeout(600)
def test_switch(pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None)
    with Writers(pair) as writers:
        moves = []
        for to in (pair.target.unit, pair.source.unit) * ROUNDS:
            written = len(writers.acknowledged)
            moves.append(switch(pair, to=to))
            wait_for(lambda: len(writers.acknowledged) > written + 50)  # noqa: B023
        pauses = [verify(pair).pause_ms for _ in range(ROUNDS)]
    writers.check()
    with capsys.disabled():
        _tell("switch, lock to commit", [move.lock_to_commit_ms for move in moves])
        _tell("switch, lock to open", [move.lock_to_open_ms for move in moves])
        _tell("verify, pause", pauses)
        attempts = sum(move.attempts for move in moves)
        print(f"  {len(moves)} switches took {attempts} attempts; {len(writers.acknowledged)} writes, none lost")


def _tell(name: str, values: list[float]) -> None:
    print(f"\n  {name:<24} median {statistics.median(values):.1f} ms, worst {max(values):.1f} ms", end="")
