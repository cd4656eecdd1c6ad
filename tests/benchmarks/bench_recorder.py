"""What the recorder costs a checkout: uv run pytest tests/benchmarks/bench_recorder.py -s"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extraction.boundaries import recorder
from extraction.boundaries.recorder import Recorder
from tests.journeys.buying import Buyer, shelve

ORDERS, ROUNDS = 10, 60
SHARES = {"off": 0.0, "1 % of requests": 0.01, "every request": 1.0}


@pytest.fixture(autouse=True)
def off_at_the_end() -> Iterator[None]:
    yield
    recorder.stop()


def switch(share: float, file: Path) -> None:
    if share:
        recorder.start(Recorder(share=share, file=file))
    else:
        recorder.stop()


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.timeout(600)
def test_checkout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelve(pieces=1_000_000)
    buyer = Buyer()
    recorders = {name: tmp_path / f"{number}.jsonl" for number, name in enumerate(SHARES)}
    taken: dict[str, list[float]] = {name: [] for name in SHARES}
    for name in [*SHARES, *list(SHARES) * ROUNDS]:  # interleaved, so that noise meets all of them
        switch(SHARES[name], recorders[name])
        began = time.perf_counter()
        for _ in range(ORDERS):
            buyer.buy()
        taken[name].append((time.perf_counter() - began) / ORDERS * 1000)
    off = taken["off"][1:]  # the first round of each warms up
    with capsys.disabled():
        print(f"\n{ORDERS} orders a round, {ROUNDS} interleaved rounds, ms an order; ratios to the round that is off")
        for name, values in taken.items():
            ratios = [value / beside for value, beside in zip(values[1:], off, strict=True)]
            print(
                f"  {name:<16} median {statistics.median(values[1:]):6.2f}  mean {statistics.mean(values[1:]):6.2f}"
                f"  ratio: median {statistics.median(ratios):.3f}, of the sums {sum(values[1:]) / sum(off):.3f}"
            )
