"""Whose turn it is: what several stages ask before they begin."""

from collections.abc import Iterator

from extraction.stages.situation import LAST, LOST, ORDER, Situation
from extraction.stages.stage import Gate

NEEDED = "what comes before it has not been done"


def after(stage: str, situation: Situation) -> Iterator[Gate]:
    """A gate unless this stage was done; it names the first one that is missing."""
    if situation.migration is None:
        yield Gate(f"no migration of {situation.module.name} is under way", situation.command("provision"), firm=NEEDED)
        return
    if situation.stage == LOST and stage:
        yield Gate(
            f"{situation.target} was given up, with what was written there", situation.command("abort"), firm=NEEDED
        )
        return
    if situation.stage == LAST:
        yield Gate(f"{situation.module.name} is being completed", situation.command(LAST), firm="there is no way back")
        return
    for earlier in ORDER[1 : ORDER.index(stage) + 1]:
        if not situation.has_done(earlier):
            yield Gate(f"{earlier} of {situation.module.name} is not done", situation.command(earlier), firm=NEEDED)
            return


def at_source(situation: Situation) -> Iterator[Gate]:
    """A gate while the module lives in the target."""
    if situation.home() == situation.target:
        yield Gate(
            f"{situation.module.name} lives in {situation.target}",
            situation.command("rollback"),
            firm=f"it would have to be done while {situation.source} is home",
        )
