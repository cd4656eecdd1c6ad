"""Rows of the side that is not home are made those of the home, one by one, while the module stands still."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.cutover.errors import Behind
from extraction.cutover.sessions import queries as cutover
from extraction.cutover.sessions import settled
from extraction.cutover.still import ENDED_BY_THE_SERVER, LEAST_PAUSE_MS, Still, attempting, still
from extraction.cutover.verify.compare import MOST_KEYS, Part, TableResult, by_key
from extraction.cutover.verify.errors import Unrepairable
from extraction.cutover.verify.tables import Column, Table, names
from extraction.cutover.verify.writing import answering, origin_on, writing
from extraction.platform.protocol import Tell
from extraction.replicate.pair import Pair
from extraction.replicate.queries import replicate

BATCH = 100
"""Rows in one pause."""
COMMITS_WITHIN = 0.8
"""Of the pause, so that the rows are written while writers are still refused."""

Rows = dict[str, list[list[str | None]]]


@dataclass(frozen=True, slots=True)
class Repaired:
    """Rows that were written, of the side that is not home."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: "Repaired") -> "Repaired":
        return Repaired(self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted)


def planned(tables: Sequence[TableResult], *, home: str) -> Iterator[str]:
    """What a repair would do, a sentence each; of many rows the first."""
    for table in tables:
        for row in table.differences:
            key = ", ".join(f"{column} = {value}" for column, value in row.key.items())
            verb = f"update {', '.join(row.columns)}" if row.columns else "insert" if row.only_in == home else "delete"
            yield f"{table.table}: {verb} where {key}"
        if table.differing > len(table.differences):
            yield f"{table.table}: and {table.differing - len(table.differences):,} rows more"


def repair(
    pair: Pair,
    differing: Sequence[tuple[Table, Part]],
    *,
    max_pause_ms: int,
    note: Callable[[dict[str, Any]], None],
    tell: Tell = lambda _: None,
    attempts: int = 20,
) -> Repaired:
    """Make these rows equal, and send nothing of it to the home. What `note` is given is written next.

    The rows are read again, and written, while no transaction writes the module at its home and the other side has all
    that was written there: so nothing that is newer is overwritten. Raises CutoverError.
    """
    command = f"manage.py extract verify {pair.module} --repair --yes"
    _require_possible(pair, differing, command)
    now, _ = settled(pair, command=command)
    done = Repaired()
    with origin_on(pair, pair.other(now.home), command) as origin:
        batches = _Batches(pair, now.home, origin, max_pause_ms, command)
        for table, keys in _keys(differing, is_source_home=now.home == pair.source.unit):
            while keys:
                batch = keys[:BATCH]
                note({"table": table.name, "in": pair.other(now.home).unit, "keys": batch})
                size, repaired = attempting(partial(batches.write, table, batch), attempts=attempts, tell=tell)
                done, keys = done + repaired, keys[size:]
                tell(f"{table.name}: {len(keys):,} rows left to repair")
    return done


@dataclass(frozen=True, slots=True)
class _Batches:
    pair: Pair
    unit: str
    """The home."""
    origin: str
    max_pause_ms: int
    command: str

    def write(self, table: Table, keys: list[str], attempt: int) -> tuple[int, Repaired]:
        """In one pause, fewer with each attempt. Returns how many keys it was about.

        Sessions of its own each time: a server that ends a pause that was overrun ends the session with it.
        """
        chosen = keys[: max(BATCH >> attempt - 1, 1)]
        ours, theirs = self.pair.side(self.unit), self.pair.other(self.unit)
        with writing(self.pair, self.unit, self.origin, self.command) as (home, other):
            values = home.execute(table.query("keys", keys=sql.Literal(chosen))).fetchall()
            rows_of = table.query("rows_of", keys=sql.SQL(", ").join(_row(tuple(key)) for (key,) in values))
            with still(self.pair, home=self.unit, max_pause_ms=self.max_pause_ms, command=self.command) as held:
                held.arrived(held.beat())
                with answering(theirs, other, ours, self.command):
                    wanted, found = (by_key(side.execute(rows_of).fetchall()) for side in (home, other))
                    statements, done = _statements(table, chosen, wanted, found)
                    if statements:
                        _write(table, held, other, statements, self.command)
        return len(chosen), done


def _statements(table: Table, keys: list[str], ours: Rows, theirs: Rows) -> tuple[list[sql.Composed], Repaired]:
    """What makes theirs ours. A row that differs is written anew, so that no column is beyond an update."""
    wrong = [key for key in keys if ours.get(key) != theirs.get(key)]
    places = [table.columns.index(column) for column in table.key]

    def key_of(row: list[str | None]) -> sql.Composed:
        return _row(tuple(row[place] for place in places))

    stored = [place for place, column in enumerate(table.columns) if not column.is_generated]
    gone = [theirs[key][0] for key in wrong if key in theirs]
    wanted = [ours[key][0] for key in wrong if key in ours]
    statements = []
    if gone:
        statements.append(table.query("delete", keys=sql.SQL(", ").join(map(key_of, gone))))
    if wanted:
        rows = sql.SQL(", ").join(_row(tuple(row[place] for place in stored)) for row in wanted)
        columns: list[Column] = [table.columns[place] for place in stored]
        statements.append(table.query("insert", stored=names(columns), rows=rows))
    both = sum(key in ours and key in theirs for key in wrong)
    return statements, Repaired(len(wanted) - both, both, len(gone) - both)


def _write(table: Table, held: Still, other: Connection[Any], statements: list[sql.Composed], command: str) -> None:
    try:
        with other.transaction():
            for statement in (replicate("as_replication"), *statements):
                left = f"{_left_ms(held, command)}ms"
                other.execute(cutover("bound"), {"lock": left, "pause": left})
                other.execute(statement)
            _left_ms(held, command)
            held.lock.execute("select 1")  # raises once the server has ended the pause
    except (*ENDED_BY_THE_SERVER, psycopg.errors.LockNotAvailable) as error:
        raise Behind(
            f"rows of {table.name} were not written within the pause ({error.diag.message_primary}); run: {command}"
        ) from None
    except psycopg.errors.IntegrityError as error:
        raise Unrepairable(
            f"rows of {table.name} cannot be made equal one by one ({error.diag.message_primary}): another row "
            f"that holds the value has to go first; delete it there, then run: {command}"
        ) from None


def _left_ms(held: Still, command: str) -> int:
    """Of the pause; before version 17 the server ends no transaction, but a statement. Raises Behind."""
    left_ms = int(held.pause_ms * COMMITS_WITHIN - (time.perf_counter() - held.began) * 1000)
    if left_ms < LEAST_PAUSE_MS:
        raise Behind(f"the pause of {held.pause_ms} ms was over before the rows were written; run: {command}")
    return left_ms


def _keys(differing: Sequence[tuple[Table, Part]], *, is_source_home: bool) -> Iterator[tuple[Table, list[str]]]:
    """By table; what the home does not have first, for it may hold a value that must be unique."""
    for table in {table.name: table for table, _ in differing}.values():
        unlike = [each for other, part in differing if other.name == table.name for each in part.unlike]
        yield (
            table,
            [
                each.key
                for each in sorted(unlike, key=lambda each: bool(each.source if is_source_home else each.target))
            ],
        )


def _require_possible(pair: Pair, differing: Sequence[tuple[Table, Part]], command: str) -> None:
    for table, _ in differing:
        if not table.has_key:
            raise Unrepairable(
                f"{table.name} has no key by which its rows could be told apart; make both sides equal by hand, "
                f"then run: manage.py extract verify {pair.module}"
            )
    if (rows := sum(part.differing for _, part in differing)) > MOST_KEYS:
        raise Unrepairable(
            f"{rows:,} rows of {pair.module} differ, and {MOST_KEYS:,} are the most that are repaired; while "
            f"{pair.source.unit} is home copy anew: manage.py extract abort {pair.module}"
        )


def _row(values: tuple[str | None, ...]) -> sql.Composed:
    return sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Literal, values)))
