"""Where a migration stands: asked at any time, also while a stage runs; holds no lock."""

from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from extraction.platform.errors import PlatformError
from extraction.replicate.progress import Lost, Reconnecting, is_complete, lag_bytes
from extraction.route.errors import RouteError
from extraction.stages.coordinator import Holder, holder
from extraction.stages.errors import StageError
from extraction.stages.ramp import SHARES
from extraction.stages.situation import Place, Situation


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What is known without changing anything."""

    module: str
    migration: str
    """Its id; empty where none is under way."""
    stage: str
    """The last one that was done."""
    running: Holder | None
    """Who coordinates it now."""
    home: str
    """Empty where no database says so."""
    epoch: int
    sides: tuple[Place, ...]
    reads_percent: float
    """The share of reads that the target answers."""
    lag_bytes: int | None
    """What the home has written and the other side has yet to apply; None where it cannot be told."""
    next: str
    """The command to type."""
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def status(situation: Situation) -> Status:
    """Ask both databases and the edge."""
    problems: list[str] = []
    places = situation.places()
    problems += [f"{place.unit}: {place.problem}" for place in places if place.problem]
    known = [place for place in places if not place.problem]
    newest = max(known, key=lambda place: place.epoch) if known else None
    home = newest.home if newest else ""
    faults = [] if len(known) < len(places) else _faults(situation, problems)
    problems += faults
    try:
        running = holder(situation.module.name, url=situation.source_url)
    except PlatformError:
        running = None  # said above
    return Status(
        module=situation.module.name,
        migration=situation.migration.id if situation.migration else "",
        stage=situation.stage,
        running=running,
        home=home,
        epoch=newest.epoch if newest else -1,
        sides=places,
        reads_percent=_reads_percent(situation, problems),
        lag_bytes=_lag_bytes(situation, home, problems),
        next=_mending(situation, home, faults) or next_command(situation, home=home),
        problems=tuple(problems),
    )


def next_command(situation: Situation, *, home: str) -> str:
    """What comes next, as one would type it."""
    command, stage, migration = situation.command, situation.stage, situation.migration
    if migration is None:
        return command("provision")
    if home == situation.target:
        return command("rollback" if stage == "cutover" else "cutover")
    if stage == "cutover" and home == situation.source:
        return command("rollback")
    following = {
        "": "provision",
        "provision": "replicate",
        "replicate": "verify",
        "verify": "ramp",
        "ramp": "cutover",
        "cutover": "status",
        "rollback": "cutover",
    }
    if following[stage] in ("ramp", "cutover") and migration.verified_at is None:
        return command("verify")
    if stage == "ramp" and migration.reads_percent < SHARES[-1]:
        return command("ramp")
    return command(following[stage])


def _mending(situation: Situation, home: str, faults: list[str]) -> str:
    """The command that mends the streams, if one does and nobody else's doing or a little time is what is needed."""
    lasting = [fault for fault in faults if not isinstance(fault, Reconnecting)]
    if not lasting or home != situation.source:
        return ""
    return situation.command("abort" if any(isinstance(fault, Lost) for fault in lasting) else "replicate")


def _reads_percent(situation: Situation, problems: list[str]) -> float:
    if situation.migration is None:
        return 0
    try:
        routes = situation.platform.routes(situation.module.name)
    except (PlatformError, RouteError) as error:
        problems.append(f"edge: {error}")
        return situation.migration.reads_percent
    if routes.home == situation.target:
        return 100
    return routes.candidate_percent if routes.candidate == situation.target else 0


def _faults(situation: Situation, problems: list[str]) -> list[str]:
    """Why a switch would be refused now."""
    if situation.migration is None or not situation.has_done("replicate"):
        return []
    try:
        return is_complete(situation.pair)
    except (PlatformError, StageError, psycopg.Error) as error:
        problems.append(f"streams: {str(error).splitlines()[0]}")
        return []


def _lag_bytes(situation: Situation, home: str, problems: list[str]) -> int | None:
    if situation.migration is None or not situation.has_done("replicate"):
        return None
    try:
        pair = situation.pair
        return lag_bytes(pair.back if home == situation.target else pair.out)
    except (PlatformError, StageError, psycopg.Error) as error:
        problems.append(f"lag: {str(error).splitlines()[0]}")
        return None
