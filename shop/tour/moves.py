"""What was measured of the migration in a tour: its stages, its switches, deploys before and after."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Literal

import msgspec

from extraction.deploys.records import Deploy
from shop.tour.memory import MemorySample
from shop.tour.samples import Latency, Sample, due_between, latency_of, overlapping

SETTLING = timedelta(seconds=60)
"""After the cutover, this long still counts as `during`."""
SWITCHES = ("cutover", "rollback", "second_cutover")


class StageRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A stage that was begun. `evidence` is what `manage.py extract … --json` printed, where it was one."""

    key: str
    title: str
    began_at: datetime
    ended_at: datetime
    outcome: Literal["done", "failed", "interrupted"]
    evidence: dict[str, Any] = {}

    @property
    def seconds(self) -> float:
        return (self.ended_at - self.began_at).total_seconds()


class SwitchFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One commit that moved the module.

    lock_to_open_ms                  from the lock that stops writers to the other side's opening
    slowest_overlapping_request_ms   the slowest request that was due or under way from began_at to opened_at, counted
                                     from its due moment; null where there was none. A sign-in takes long by
                                     itself, so the step is told too: slowest_overlapping_step
    overlapping_requests             how many there were
    """

    from_unit: str
    to_unit: str
    epoch: int
    began_at: datetime
    opened_at: datetime
    attempts: int
    lock_to_commit_ms: float
    lock_to_open_ms: float
    slowest_overlapping_request_ms: float | None = None
    slowest_overlapping_step: str = ""
    overlapping_requests: int = 0
    overlapping_failed: int = 0


class DeployFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Deploys of one kind. `units_restarted` and `modules_restarted` are of each deploy; `failed_requests` of all, due
    or under way while one went on."""

    count: int = 0
    median_seconds: float | None = None
    failed_requests: int = 0
    units_restarted: int = 0
    modules_restarted: int = 0
    unit: str = ""
    modules: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()
    slowest_overlapping_request_ms: float | None = None


class DeployComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Deploying one change of the module: before, with everything, and after, alone."""

    before: DeployFigures = DeployFigures()
    after: DeployFigures = DeployFigures()


def switch_in(evidence: Mapping[str, Any]) -> SwitchFigures | None:
    """The switch that a stage made, wherever its evidence keeps it; None where nothing was switched."""
    for found in _objects_in(evidence):
        if "lock_to_open_ms" in found:
            return msgspec.convert(found, SwitchFigures, strict=False)
    return None


def measured(switch: SwitchFigures, samples: Sequence[Sample]) -> SwitchFigures:
    """The switch with the requests that overlapped it."""
    during = overlapping(samples, switch.began_at, switch.opened_at)
    slowest = max(during, key=lambda sample: sample.latency_ms, default=None)
    return msgspec.structs.replace(
        switch,
        slowest_overlapping_request_ms=slowest.latency_ms if slowest else None,
        slowest_overlapping_step=slowest.step if slowest else "",
        overlapping_requests=len(during),
        overlapping_failed=sum(1 for sample in during if sample.problem),
    )


def deploy_figures(deploys: Sequence[Deploy], samples: Sequence[Sample]) -> DeployFigures:
    """Figures of these deploys, with the requests that overlapped them."""
    if not deploys:
        return DeployFigures()
    during = {id(it): it for deploy in deploys for it in overlapping(samples, deploy.began_at, deploy.ended_at)}
    return DeployFigures(
        count=len(deploys),
        median_seconds=round(median(deploy.seconds for deploy in deploys), 2),
        failed_requests=sum(1 for sample in during.values() if sample.problem),
        units_restarted=max(deploy.units_restarted for deploy in deploys),
        modules_restarted=max(deploy.modules_restarted for deploy in deploys),
        unit=deploys[-1].unit,
        modules=deploys[-1].modules,
        seconds=tuple(round(deploy.seconds, 2) for deploy in deploys),
        slowest_overlapping_request_ms=max((sample.latency_ms for sample in during.values()), default=None),
    )


def latency_by_phase(stages: Sequence[StageRecord], samples: Sequence[Sample]) -> dict[str, Latency]:
    """Latency of all requests that were due before, during and after the migration; a phase without any is left out."""
    due = {phase: due_between(samples, began, ended) for phase, (began, ended) in phases(stages).items()}
    return {phase: latency_of(some) for phase, some in due.items() if some}


def phases(stages: Sequence[StageRecord]) -> dict[str, tuple[datetime, datetime]]:
    """When each phase was.

    before: the quiet baseline. during: from the beginning of provision until a minute after the first cutover, or until
    the rollback if that came first. after: the quiet time after the cutover, which `during` has in it too.
    """
    of = {stage.key: stage for stage in stages}
    found = {}
    if "quiet_before" in of:
        found["before"] = (of["quiet_before"].began_at, of["quiet_before"].ended_at)
    if "provision" in of and "cutover" in of:
        end = of["cutover"].ended_at + SETTLING
        for later in ("rollback", "end_load"):
            if later in of:
                end = min(end, of[later].began_at)
        found["during"] = (of["provision"].began_at, end)
    if "quiet_after" in of:
        found["after"] = (of["quiet_after"].began_at, of["quiet_after"].ended_at)
    return found


def memory_of_phase(samples: Sequence[MemorySample], phase: tuple[datetime, datetime] | None) -> dict[str, float]:
    """Megabytes by process at the moment of this phase with the largest sum; empty where none was measured."""
    if phase is None:
        return {}
    of_phase = [sample for sample in samples if phase[0] <= sample.at < phase[1]]
    return max((sample.mb for sample in of_phase), key=lambda mb: sum(mb.values()), default={})


def _objects_in(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
        for inner in value.values():
            yield from _objects_in(inner)
