"""What was measured of each request, and the arithmetic on it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One request.

    `at_s` is when it was to be sent, seconds after the load began, and `due_at` the same moment in UTC, by the
    machine's clock as the load began. `latency_ms` counts from then to the whole
    answer, so a request that waited for a busy sender or a paused shop shows the wait; `service_ms` counts from
    when it was really sent. `problem` is empty when the answer was the one that the journey expects.
    """

    at_s: float
    due_at: datetime
    step: str
    latency_ms: float
    service_ms: float
    status: int | None
    problem: str = ""
    is_ambiguous: bool = False
    """The shop said that it does not know whether the request took effect. Its problem says so too."""
    served_by: str = ""
    """The unit and release that answered, where the answer says so."""

    @property
    def answered_at(self) -> datetime:
        return self.due_at + timedelta(milliseconds=self.latency_ms)

    @property
    def sent_at(self) -> datetime:
        return self.answered_at - timedelta(milliseconds=self.service_ms)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds from the scheduled moment of a request to its whole answer, failed requests included.

    Percentiles are by nearest rank: p95 is the smallest measured value that at least 95 % of all do not exceed.
    `service_p95_ms` counts from the moment of sending.
    """

    requests: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    service_p95_ms: float


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of values in ascending order. Raises ValueError for none."""
    if not ordered:
        raise ValueError("there is no percentile of nothing")
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def due_between(samples: Iterable[Sample], began_at: datetime, ended_at: datetime) -> list[Sample]:
    """Those that were due in this time."""
    return [sample for sample in samples if began_at <= sample.due_at < ended_at]


def overlapping(samples: Iterable[Sample], began_at: datetime, ended_at: datetime) -> list[Sample]:
    """Those that were due or under way at any moment of this time."""
    return [sample for sample in samples if sample.due_at <= ended_at and sample.answered_at >= began_at]


def latency_of(samples: Sequence[Sample]) -> Latency:
    """Latency of these requests together. Raises ValueError for none."""
    latencies = sorted(sample.latency_ms for sample in samples)
    return Latency(
        requests=len(samples),
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        max_ms=latencies[-1],
        service_p95_ms=percentile(sorted(sample.service_ms for sample in samples), 95),
    )


def latency_by_step(samples: Iterable[Sample]) -> dict[str, Latency]:
    """Latency of each journey step, and of all requests together under `all`."""
    of_step: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        of_step["all"].append(sample)
        of_step[sample.step].append(sample)
    return {step: latency_of(some) for step, some in of_step.items()}


def samples_in(path: Path) -> list[Sample]:
    """The samples of a file; a last line that a kill cut short is left out."""
    decoder = msgspec.json.Decoder(Sample)
    return [decoder.decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
