from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import NEEDS, Obstacle, obstacles
from extraction.stages.errors import Obstructed
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice

OF_BOTH = {"rows", *NEEDS}
"""Codes of what is asked of two databases: with one in both places the answer would be wrong."""


class Provision:
    """A database for the module's new unit, its empty tables, its processes, standing by."""

    name = "provision"

    def gates(self, situation: Situation) -> Iterator[Gate]:
        place = situation.places()[0]
        if place.problem:
            yield Gate(place.problem, situation.command("provision"), firm="without its database nothing can be moved")
        elif place.home != situation.source:
            yield Gate(
                f"{situation.module.name} lives in {place.home}, not in {situation.source}",
                f"run it in {place.home}: {situation.command('provision')}",
                firm="only the home can begin a migration",
            )
        elif situation.migration is None:
            _require_free_way(situation, _early(situation))

    def done(self, situation: Situation) -> str:
        return f"{situation.target} is provisioned" if situation.has_done("provision") else ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        module, target, platform = situation.module.name, situation.target, situation.platform

        def provide(voice: Voice) -> dict[str, Any]:
            platform.provide_database(module, unit=target, tell=voice)
            return {}

        def check(voice: Voice) -> dict[str, Any]:
            _require_free_way(situation, obstacles(situation.pair))
            return {"obstacles": []}

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
    """What the source alone shows, before anything is made: the server, its administrator, the tables."""
    source = Side(unit=situation.source, url=situation.source_url)
    alone = Pair(id="none", module=situation.module.name, schema=situation.module.schema, source=source, target=source)
    return [obstacle for obstacle in dict.fromkeys(obstacles(alone)) if obstacle.code not in OF_BOTH]


def _require_free_way(situation: Situation, found: list[Obstacle]) -> None:
    if found:
        raise Obstructed(
            f"in the way of {situation.module.name}: "
            + "; ".join(f"{obstacle} [{obstacle.code}]" for obstacle in found)
            + f"; then: {situation.command('provision')}",
            obstacles=[asdict(obstacle) for obstacle in found],
        )
