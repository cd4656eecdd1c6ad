"""Sequences are not replicated: before the home moves, those of the other side are moved past it, and never back."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.cutover.errors import NotFollowing
from extraction.cutover.sessions import queries
from extraction.replicate.pair import Pair

GAP = 32
"""Steps that are left out: a value drawn at the home by a session that has yet to use it is not drawn again."""


@dataclass(frozen=True, slots=True)
class Sequence:
    schema: str
    name: str
    step: int
    least: int
    greatest: int
    cycles: bool
    cache: int = 1
    """Values that a session takes at once."""


@dataclass(frozen=True, slots=True)
class Position:
    value: int
    is_called: bool
    """False: `value` is still to be drawn."""


def sequences(connection: Connection[Any], pair: Pair) -> list[Sequence]:
    """Those that give the module's rows their numbers."""
    query = queries("sequences", members=pair.objects.members)
    return [Sequence(*row) for row in connection.execute(query, pair.objects.scope).fetchall()]


def advance(found: list[Sequence], *, home: Connection[Any], other: Connection[Any], command: str) -> None:
    """Move the other side's past the home's. Raises NotFollowing where it has no such number."""
    if not found:
        return
    try:
        positions = zip(found, _positions(home, found), _positions(other, found), strict=True)
        moves = [
            (sequence.schema, sequence.name, goal.value, goal.is_called)
            for sequence, ours, theirs in positions
            if (goal := beyond(sequence, ours, theirs)) is not None
        ]
        if moves:
            _advance(other, moves)
    except (psycopg.errors.UndefinedTable, psycopg.errors.NumericValueOutOfRange) as error:
        raise NotFollowing(
            f"sequences differ between the sides ({error.diag.message_primary}); migrate both to the same state, "
            f"then run: {command}"
        ) from None


def rehearse(found: list[Sequence], *, home: Connection[Any], other: Connection[Any]) -> None:
    """Ask what `advance` asks, and move nothing. A sequence that one side lacks `advance` tells of."""
    if found:
        with suppress(psycopg.errors.UndefinedTable):
            _positions(home, found), _positions(other, found)
            _advance(other, [])


def _advance(other: Connection[Any], moves: list[tuple[str, str, int, bool]]) -> None:
    schemas, names, values, called = ([move[column] for move in moves] for column in range(4))
    other.execute(queries("advance"), {"schemas": schemas, "names": names, "values": values, "called": called})


def beyond(sequence: Sequence, ours: Position, theirs: Position) -> Position | None:
    """Where the other side's is to go, or None where it is already past the home's."""
    if sequence.cycles:
        return None if ours == theirs else ours
    drawn_next = ours.value + (sequence.step if ours.is_called else 0)
    goal = drawn_next + GAP * sequence.cache * sequence.step
    if not sequence.least <= goal <= sequence.greatest:
        goal = drawn_next
    if (goal - theirs.value - (sequence.step if theirs.is_called else 0)) * sequence.step <= 0:
        return None
    if sequence.least <= goal <= sequence.greatest:
        return Position(goal, is_called=False)
    return Position(goal - sequence.step, is_called=True)


def _positions(connection: Connection[Any], found: list[Sequence]) -> list[Position]:
    each = [
        queries(
            "position",
            number=sql.Literal(number),
            sequence=sql.Identifier(sequence.schema, sequence.name),
        )
        for number, sequence in enumerate(found)
    ]
    rows = connection.execute(sql.SQL(" union all ").join(each)).fetchall()
    return [Position(value, is_called) for _, value, is_called in sorted(rows)]
