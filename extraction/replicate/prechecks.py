"""What stands in the way of joining the databases of a migration, each with the statement or setting that mends it."""

from contextlib import ExitStack

from extraction.platform.database import connect
from extraction.replicate.obstacles.activity import activity
from extraction.replicate.obstacles.asked import Asked
from extraction.replicate.obstacles.database import databases_apart, of_database
from extraction.replicate.obstacles.kinds import Obstacle
from extraction.replicate.obstacles.neighbours import neighbours
from extraction.replicate.obstacles.server import NEEDS, fitness, room, versions_apart
from extraction.replicate.obstacles.sides import (
    homes_apart,
    identity,
    installation,
    migrations_apart,
    rows_of_the_target,
)
from extraction.replicate.obstacles.tables import of_tables, unlike
from extraction.replicate.pair import Pair

__all__ = ["NEEDS", "Obstacle", "obstacles", "unfit_tables"]


def obstacles(pair: Pair) -> list[Obstacle]:
    """All that stands in the way. A target without a URL is not there yet, and only the source is asked.

    Raises ServerUnreachable.
    """
    with ExitStack() as stack:
        sides = _sides(pair, stack)
        source, target = sides[0], sides[1] if len(sides) > 1 else None
        found = [each for side in sides for each in fitness(side)]
        if target is not None:
            found += versions_apart(source, target)
        if any(
            each.severity == "blocks" for each in found
        ):  # what follows asks for what an older server or a lesser role does not know
            return found
        for side in sides:
            found += [*room(side, _other(side, sides)), *activity(side)]
        installed = [each for side in sides for each in installation(side)]
        if installed:
            return found + installed
        for side in sides:
            found += [*identity(side), *of_database(side), *of_tables(side), *neighbours(side)]
        if target is not None:
            found += [*homes_apart(source, target), *databases_apart(source, target), *unlike(source, target)]
            found += [*migrations_apart(source, target), *rows_of_the_target(target)]
        return found


def unfit_tables(pair: Pair) -> list[Obstacle]:
    """What blocks and lies in the tables or in the role, which may have changed since. Raises ServerUnreachable."""
    with ExitStack() as stack:
        sides = _sides(pair, stack)
        found = [each for side in sides for each in fitness(side)]
        if not found:
            found = [each for side in sides for each in (*of_tables(side), *neighbours(side))]
            found += unlike(*sides)
        return [each for each in found if each.severity == "blocks"]


def _sides(pair: Pair, stack: ExitStack) -> list[Asked]:
    return [
        Asked(pair, side, publishes, subscribes, stack.enter_context(connect(side.url)))
        for side, publishes, subscribes in ((pair.source, pair.out, pair.back), (pair.target, pair.back, pair.out))
        if side.url
    ]


def _other(side: Asked, sides: list[Asked]) -> Asked | None:
    return next((other for other in sides if other is not side), None)
