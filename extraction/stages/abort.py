from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.utils import timezone

from extraction.cutover.failpoints import failpoint
from extraction.platform.errors import NoServer
from extraction.platform.protocol import Routes
from extraction.replicate.removal import remove
from extraction.stages.errors import Remains
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice
from extraction.stages.turn import after, at_source


class Abort:
    """The end of a migration that did not happen: the source is as before, the target is gone."""

    name = "abort"

    def arguments(self, parser: ArgumentParser) -> None:
        """None of its own."""

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("", situation)
        if situation.migration is not None:
            yield from at_source(situation)

    def done(self, situation: Situation) -> str:
        return ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        module, source, target, platform = situation.module.name, situation.source, situation.target, situation.platform

        def reads(voice: Voice) -> dict[str, Any]:
            platform.route(Routes(module=module, home=source))
            return {}

        def part(voice: Voice) -> dict[str, Any]:
            try:
                pair = situation.pair
            except NoServer:  # retired before, and that was after all of the source was taken away
                return {"left": []}
            left = remove(pair)
            # What stays on a target that is away goes with its server in the next step, or that step fails.
            gone = f"the server of {target} is away"
            if here := [line for line in left if not line.startswith(gone)]:
                raise Remains(
                    f"left behind: {'; '.join(here)}; mend that, then: {situation.command('abort')}", left=here
                )
            if not left:
                # From here on only the unit is left, whose database may be gone when this is done again.
                migration = situation.open()
                migration.stage = ""
                migration.save(update_fields=["stage"])
            failpoint("abort.parted")
            return {"left": left}

        def retire(voice: Voice) -> dict[str, Any]:
            platform.retire(module, unit=target, tell=voice)
            failpoint("abort.retired")
            return {}

        steps = [Step(f"Giving all reads of {module} to {source}", reads)]
        if situation.has_done("provision"):
            steps.append(Step("Taking streams and fence away", part))
        return [*steps, Step(f"Retiring {target}", retire)]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        migration.reads_percent, migration.ended_at = 0, timezone.now()
        migration.compared.all().delete()  # keys of rows, which nobody needs any more
