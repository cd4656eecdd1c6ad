"""What a contract call costs over a plain one: uv run pytest tests/benchmarks/bench_calls.py -s"""

import statistics
import time
from collections.abc import Callable

import pytest

from contracts.inventory import Inventory, Line
from contracts.runtime import configure, use
from contracts.runtime.configuration import configuration
from tests.contracts.test_calls import Shelf, shelf  # noqa: F401  (a fixture)

CALLS, ROUNDS = 2000, 15


def per_call_us(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS * 1e6


@pytest.mark.django_db(databases="__all__")
def test_call(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    lines = tuple(Line(sku=f"SKU-{number}", quantity=number) for number in range(1, 4))
    inventory, strict_before = use(Inventory), configuration.strict
    forms: dict[str, Callable[[], object]] = {
        "plain call": lambda: shelf.quote(lines=lines),
        "contract call": lambda: inventory.quote(lines=lines),
        "contract call, strict": lambda: inventory.quote(lines=lines),
    }
    taken: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):  # interleaved, so that noise meets all of them
        for name, form in forms.items():
            configure(strict=name.endswith("strict"))
            taken[name].append(per_call_us(form))
    configure(strict=strict_before)
    plain = statistics.median(taken["plain call"])
    with capsys.disabled():
        print(f"\n{CALLS} calls with three lines, {ROUNDS} interleaved rounds, median µs a call")
        for name, values in taken.items():
            median = statistics.median(values)
            print(f"  {name:<24} {median:7.2f}  over plain {median - plain:+7.2f}  ×{median / plain:.1f}")
