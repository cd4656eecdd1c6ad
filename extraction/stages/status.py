"""Where a migration stands: asked at any time, also while a stage runs; holds no lock."""

from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from extraction import project
from extraction.cutover.copies import closed, require_both_heard
from extraction.cutover.errors import Copied, CutoverError, Elsewhere, NotFollowing
from extraction.cutover.sessions import settled
from extraction.placement.database import Objects
from extraction.platform.database import connect
from extraction.platform.errors import PlatformError
from extraction.replicate.progress import Delay, Lost, LostBack, Reconnecting, delay, is_complete, lag_bytes, progress
from extraction.route.errors import RouteError
from extraction.stages.coordinator import Holder, holder
from extraction.stages.errors import StageError
from extraction.stages.ramp import SHARES
from extraction.stages.situation import LAST, LOST, Place, Situation


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
    lag_s: float | None
    """For how long a commit at the home takes to arrive there: measured now with one; None where it cannot be told."""
    lag_is_longer: bool
    """It had not arrived when the answer was given: it takes longer than `lag_s`."""
    copying: str
    """How far the first copy is; empty where none is under way."""
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
    copies = [] if len(known) < len(places) else _copies(situation)
    shut = _closed(situation, known)
    problems += copies + shut
    try:
        running = holder(situation.module.name, url=situation.source_url)
    except PlatformError:
        running = None  # said above
    # It writes a heartbeat, and there may be none on a server of which nobody knows whether it is the newest.
    late = None if copies or shut else _delay(situation, home, problems)
    return Status(
        module=situation.module.name,
        migration=situation.migration.id if situation.migration else "",
        stage=LAST if _has_left(situation, home) else situation.stage,
        running=running,
        home=home,
        epoch=newest.epoch if newest else -1,
        sides=places,
        reads_percent=_reads_percent(situation, problems),
        lag_bytes=_lag_bytes(situation, home, problems),
        lag_s=round(late.seconds, 3) if late else None,
        lag_is_longer=late is not None and not late.is_over,
        copying=_copying(situation, problems),
        next=situation.command("status")
        if copies
        else _mending(situation, home, faults) or next_command(situation, home=home),
        problems=tuple(problems),
    )


def next_command(situation: Situation, *, home: str) -> str:
    """What comes next, as one would type it."""
    command, stage, migration = situation.command, situation.stage, situation.migration
    if migration is None:
        return command(LAST if _has_left(situation, home) else "provision")
    if stage == LAST:
        return command("status" if migration.ended_at else LAST)
    if stage == LOST:
        return command("abort" if home == situation.source else "recall")
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


def _has_left(situation: Situation, home: str) -> bool:
    """Whether the migration of the module was completed, and nothing has begun since."""
    return situation.migration is None and home != situation.source and situation.was_completed


def _mending(situation: Situation, home: str, faults: list[str]) -> str:
    """The command that mends the streams, if one does and nobody else's doing or a little time is what is needed.

    Where there is no way back any more, the one that goes on.
    """
    lost = {type(fault) for fault in faults} & {Lost, LostBack}
    if lost and all(place.home == situation.target for place in situation.places()):
        return situation.command(LAST if LostBack in lost else "replicate")
    lasting = [fault for fault in faults if not isinstance(fault, Reconnecting)]
    if not lasting or home != situation.source:
        return ""
    return situation.command("abort" if any(isinstance(fault, Lost) for fault in lasting) else "replicate")


def _copies(situation: Situation) -> list[str]:
    """What the sides cannot both say of the home, or of their heartbeats, unless one was restored from a copy."""
    if situation.migration is None or not situation.has_done("replicate"):
        return []
    try:
        settled(situation.pair, command=situation.command("status"), within_s=0)
        require_both_heard(situation.pair)
    except (Copied, NotFollowing, Elsewhere) as error:
        return [str(error)]
    except (CutoverError, PlatformError, psycopg.Error):
        pass  # said above
    return []


def _closed(situation: Situation, known: list[Place]) -> list[str]:
    """Which sides were started closed to the module."""
    module, found = situation.module, list[str]()
    objects = Objects(module.name, module.schema, project.tables(module.name))
    for place in known:
        try:
            with connect(situation.platform.admin_url(place.unit, module.name)) as side:
                found.append(closed(objects, side, unit=place.unit))
        except (PlatformError, psycopg.Error) as error:
            found.append(f"{place.unit}: {str(error).splitlines()[0]}")
    return [each for each in found if each]


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


def _delay(situation: Situation, home: str, problems: list[str]) -> Delay | None:
    if situation.migration is None or not situation.has_done("replicate"):
        return None
    try:
        pair = situation.pair
        return delay(pair, pair.back if home == situation.target else pair.out)
    except (PlatformError, StageError, psycopg.Error) as error:
        problems.append(f"lag: {str(error).splitlines()[0]}")
        return None


def _copying(situation: Situation, problems: list[str]) -> str:
    if situation.migration is None or not situation.has_done("provision") or situation.has_done("replicate"):
        return ""
    try:
        now = progress(situation.pair)
    except (PlatformError, StageError, psycopg.Error) as error:
        problems.append(f"copy: {str(error).splitlines()[0]}")
        return ""
    return now.sentence() if now.bytes_copied or now.at_work else ""
