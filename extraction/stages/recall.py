"""The way out where the module was handed over and the other side does not open."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from extraction.cutover.errors import CutoverError, NotBetween
from extraction.cutover.recall import between, recall, was_recalled
from extraction.platform.protocol import Routes
from extraction.stages.errors import StageError
from extraction.stages.situation import LOST, Situation
from extraction.stages.stage import Gate, Options, Step, Voice
from extraction.stages.turn import after


class Recall:
    """The side that handed the module over is home again, and the other will not open by what it has missed."""

    name = "recall"

    def arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--accept-loss",
            metavar="REASON",
            default="",
            help="the other side is gone for good, with what was written there; the record keeps why",
        )

    def gates(self, situation: Situation) -> Iterator[Gate]:
        if situation.stage != LOST:
            yield from after("replicate", situation)
            if not situation.has_done("replicate"):
                return
        if self._is_left(situation):
            return
        try:
            between(situation.pair, command=situation.command(self.name))
        except NotBetween as error:
            yield Gate(str(error), situation.command("status"), firm="it is for a module that no side has opened")
        except CutoverError as error:
            raise StageError(str(error)) from error

    def done(self, situation: Situation) -> str:
        return ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        module, platform = situation.module.name, situation.platform

        def take_back(voice: Voice) -> dict[str, Any]:
            seal: Callable[[str], None] | None = None
            if options.accept_loss:

                def seal(unit: str) -> None:
                    platform.seal(module, unit=unit, tell=voice.say)
                    _keep(situation, LOST)  # whatever becomes of this process, that unit is not gone on with

            evidence: dict[str, Any] = {}
            if not self._is_left(situation):
                found = recall(situation.pair, command=situation.command(self.name), seal=seal, tell=voice.say)
                evidence = asdict(found) | ({"accepted": options.accept_loss} if found.loss else {})
            _keep(situation, LOST if situation.stage == LOST else "replicate")
            return evidence

        def tell_the_edge(voice: Voice) -> dict[str, Any]:
            platform.route(Routes(module=module, home=situation.home()))
            return {}

        return [
            Step(f"Taking {module} back", take_back),
            Step(f"Giving all requests of {module} to the side that has it", tell_the_edge),
        ]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        if situation.home() == situation.source:
            migration.reads_percent = 0

    def _is_left(self, situation: Situation) -> bool:
        """Whether the module was taken back, and nobody told the edge."""
        home = situation.home()
        if situation.platform.routes(situation.module.name).home == home:
            return False
        return was_recalled(situation.pair, home, command=situation.command(self.name))


def _keep(situation: Situation, stage: str) -> None:
    """What is true from now on. Where it stays in the target, that is still its home after a cutover."""
    migration = situation.open()
    migration.verified_at = None
    if stage == LOST or situation.home() == situation.source:
        migration.stage = stage
    migration.save(update_fields=["verified_at", "stage"])
