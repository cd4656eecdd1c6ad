from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from extraction import project
from extraction.platform.errors import PlatformError
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import Obstacle, obstacles
from extraction.stages.errors import Obstructed
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice, takes_reason


class Provision:
    """A database for the module's new unit, its empty tables, its processes, standing by."""

    name = "provision"

    def arguments(self, parser: ArgumentParser) -> None:
        takes_reason(parser)

    def gates(self, situation: Situation) -> Iterator[Gate]:
        place = situation.places()[0]
        if place.problem:
            with suppress(PlatformError):
                lacking = [obstacle for obstacle in _early(situation) if obstacle.code == "privilege"]
                _require_free_way(situation, lacking)
            yield Gate(place.problem, situation.command("provision"), firm="without its database nothing can be moved")
        elif place.home != situation.source:
            yield Gate(
                f"{situation.module.name} lives in {place.home}, not in {situation.source}",
                f"run it in {place.home}: {situation.command('provision')}",
                firm="only the home can begin a migration",
            )
        elif situation.migration is None:
            early = _early(situation)
            _require_free_way(situation, early)
            if undecided := [obstacle for obstacle in early if obstacle.severity == "decide"]:
                yield Gate("; ".join(f"{each} ({each.why}) [{each.code}]" for each in undecided), _accepting(situation))

    def done(self, situation: Situation) -> str:
        return f"{situation.target} is provisioned" if situation.has_done("provision") else ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        module, target, platform = situation.module.name, situation.target, situation.platform

        def provide(voice: Voice) -> dict[str, Any]:
            platform.provide_database(module, unit=target, tell=voice)
            return {}

        def check(voice: Voice) -> dict[str, Any]:
            found = obstacles(situation.pair)
            _require_free_way(situation, found, accepted=options.override)
            for obstacle in found:
                voice(f"{obstacle} [{obstacle.code}]")
            return {"obstacles": [asdict(obstacle) for obstacle in found], "accepted": options.override}

        def start(voice: Voice) -> dict[str, Any]:
            platform.start(module, unit=target, tell=voice)
            return {"unit": target}

        return [
            Step(f"Providing a database for {target}", provide),
            Step("Checking both databases", check),
            Step(f"Starting {target}, standing by", start),
        ]

    def conclude(self, situation: Situation) -> None:
        situation.open().stage = self.name


def _early(situation: Situation) -> list[Obstacle]:
    """What the source alone shows, before anything is made: the server, the coordinator's role, the tables."""
    module = situation.module
    alone = Pair(
        id="none",
        module=module.name,
        schema=module.schema,
        source=Side(unit=situation.source, url=situation.source_url),
        target=Side(unit=situation.target, url=""),
        only=project.tables(module.name),
    )
    return obstacles(alone)


def _require_free_way(situation: Situation, found: list[Obstacle], *, accepted: str | None = None) -> None:
    """Raise Obstructed where something blocks, or is to be decided and was not: `accepted` is an empty reason."""
    blocking = [obstacle for obstacle in found if obstacle.severity == "blocks"]
    undecided = [obstacle for obstacle in found if obstacle.severity == "decide" and accepted == ""]
    if here := blocking + undecided:
        following = situation.command("provision") if blocking else _accepting(situation)
        raise Obstructed(
            f"in the way of {situation.module.name}: "
            + "; ".join(f"{obstacle} [{obstacle.code}]" for obstacle in here)
            + f"; then: {following}",
            obstacles=[asdict(obstacle) for obstacle in here],
        )


def _accepting(situation: Situation) -> str:
    return f'mend it, or accept it: {situation.command("provision")} --override "reason"'
