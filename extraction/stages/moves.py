"""Writes move: there and back."""

from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from extraction.cutover.switch import switch
from extraction.platform.protocol import Routes
from extraction.stages.ramp import reads_home, unverified
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice, takes_pause, takes_reason
from extraction.stages.turn import after


class Cutover:
    """The target becomes home: writes, reads and contract calls. The source follows it, so that it can go back."""

    name = "cutover"

    def arguments(self, parser: ArgumentParser) -> None:
        takes_pause(parser)
        takes_reason(parser)

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("replicate", situation)
        if situation.migration is None or not situation.has_done("replicate"):
            return
        if situation.home() == situation.target:
            return  # what is left is the routes
        yield from unverified(situation)
        if situation.migration.reads_percent < 100 and situation.stage != "rollback":
            yield Gate(
                f"{situation.target} answers {situation.migration.reads_percent:g} % of the reads of "
                f"{situation.module.name}, not all",
                situation.command("ramp"),
            )

    def done(self, situation: Situation) -> str:
        if situation.stage != self.name or situation.home() != situation.target:
            return ""
        routes = situation.platform.routes(situation.module.name)
        return f"{situation.module.name} lives in {situation.target}" if routes.home == situation.target else ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        def move(voice: Voice) -> dict[str, Any]:
            moved = switch(situation.pair, to=situation.target, max_pause_ms=options.max_pause_ms, tell=voice.say)
            # Nobody may stop between the two: until the edge knows, every write takes the way round.
            # The source is fed by the target, and answers reads while that cannot.
            situation.platform.route(
                Routes(module=situation.module.name, home=situation.target, candidate=situation.source)
            )
            return asdict(moved)

        module, source, target = situation.module.name, situation.source, situation.target
        return [Step(f"Moving {module} from {source} to {target}", move)]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        migration.stage, migration.reads_percent = self.name, 100


class Rollback:
    """The source is home again, and answers all reads. Nothing is lost: it has followed."""

    name = "rollback"

    def arguments(self, parser: ArgumentParser) -> None:
        takes_pause(parser)

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("replicate", situation)
        if situation.migration is None or not situation.has_done("replicate"):
            return
        if not self.done(situation) and not _has_moved(situation):
            yield Gate(
                f"neither reads nor writes of {situation.module.name} have moved",
                situation.command("abort"),
                firm="there is nothing to roll back",
            )

    def done(self, situation: Situation) -> str:
        is_done = situation.stage == self.name and not _has_moved(situation)
        return f"{situation.module.name} is back in {situation.source}" if is_done else ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        module, source = situation.module.name, situation.source

        def reads(voice: Voice) -> dict[str, Any]:
            reads_home(situation)
            return {}

        def move(voice: Voice) -> dict[str, Any]:
            if situation.home() == situation.target:
                migration = situation.open()
                migration.stage = Cutover.name  # also where the coordinator of the cutover did not live to say so
                migration.save(update_fields=["stage"])
            moved = switch(situation.pair, to=source, max_pause_ms=options.max_pause_ms, tell=voice.say)
            reads_home(situation)
            return asdict(moved)

        if situation.home() == source and situation.stage != "cutover":
            return [Step(f"Giving all reads of {module} to {source}", reads)]
        return [Step(f"Moving {module} back from {situation.target} to {source}", move)]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        was_home = migration.stage == "cutover"
        migration.stage = self.name if was_home or migration.stage == self.name else _before_the_ramp(migration.stage)


def _has_moved(situation: Situation) -> bool:
    routes = situation.platform.routes(situation.module.name)
    return (
        situation.home() != situation.source
        or situation.stage == "cutover"
        or situation.open().reads_percent > 0
        or routes.home != situation.source
        or (routes.candidate == situation.target and routes.candidate_percent > 0)
    )


def _before_the_ramp(stage: str) -> str:
    return "verify" if stage == "ramp" else stage
