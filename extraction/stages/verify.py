from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from django.utils import timezone

from extraction.cutover.compare import TableResult
from extraction.cutover.verify import verify
from extraction.stages.errors import Differs
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice
from extraction.stages.turn import after


class Verify:
    """Compare both sides, row by row, as of one moment. May be done at any time, and again."""

    name = "verify"

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("replicate", situation)

    def done(self, situation: Situation) -> str:
        return ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        def compare(voice: Voice) -> dict[str, Any]:
            found = verify(situation.pair, max_pause_ms=options.max_pause_ms, tell=voice)
            evidence = asdict(found) | {"equal": found.equal}
            if not found.equal:
                migration = situation.open()
                migration.verified_at = None
                migration.save(update_fields=["verified_at"])
                differing = [table for table in found.tables if not table.is_equal]
                for table in differing:
                    for line in _lines(table):
                        voice.say(line)
                raise Differs(
                    f"{', '.join(table.table for table in differing)} of {situation.module.name} differ: somebody "
                    f"wrote past the fence, or a row was refused on its way. Find out who, then {_way_out(situation)}",
                    **evidence,
                )
            return evidence

        return [Step("Comparing both sides", compare)]

    def conclude(self, situation: Situation) -> None:
        migration = situation.open()
        migration.verified_at = timezone.now()
        if migration.stage == "replicate":
            migration.stage = self.name


def _way_out(situation: Situation) -> str:
    if situation.home() == situation.source:
        return f"copy anew: {situation.command('abort')}"
    return (
        f"make the rows of {situation.source} like those of {situation.target}, for a rollback would bring back what "
        f"they are now, and compare again: {situation.command('verify')}"
    )


def _lines(table: TableResult) -> Iterator[str]:
    yield f"{table.table}: {table.rows_source} rows in the source, {table.rows_target} in the target"
    for row in table.differences:
        key = ", ".join(f"{column} = {value}" for column, value in row.key.items())
        yield f"  {key}: only in {row.only_in}" if row.only_in else f"  {key}: {', '.join(row.columns)}"
