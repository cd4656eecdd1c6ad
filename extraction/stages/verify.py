import secrets
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from extraction.cutover.verify import Sample, TableResult, Verification, planned, repair, verify
from extraction.models import Record
from extraction.stages.coordinator import who
from extraction.stages.errors import Differs
from extraction.stages.kept import Kept
from extraction.stages.situation import Situation
from extraction.stages.stage import Gate, Options, Step, Voice, takes_pause
from extraction.stages.turn import after


class Verify:
    """Compare both sides, row by row, while writers write. May be done at any time, and again."""

    name = "verify"

    def arguments(self, parser: ArgumentParser) -> None:
        takes_pause(parser)
        add = parser.add_argument
        add("--workers", type=int, default=2, help="chunks compared at a time (default: 2)")
        add("--max-snapshot-s", type=float, default=300, help="snapshots are renewed after so long (default: 300)")
        add("--max-rows-s", type=float, default=0, help="rows compared a second (default: as many as can be)")
        add("--sample", type=float, metavar="PERCENT", default=0, help="of the chunks only; opens no gate")
        add("--seed", type=int, help="of the sample (default: a new one)")
        add("--anew", action="store_true", help="compare also what a run before found equal")
        add("--repair", action="store_true", help="show what would make the side that is not home like the home")
        add("--yes", action="store_true", help="with --repair: do it")

    def gates(self, situation: Situation) -> Iterator[Gate]:
        yield from after("replicate", situation)

    def done(self, situation: Situation) -> str:
        return ""

    def steps(self, situation: Situation, options: Options) -> list[Step]:
        def compare(voice: Voice) -> dict[str, Any]:
            sample = Sample(options.sample, _seed(options)) if options.sample else None
            ledger = None if sample else Kept(situation, anew=options.anew)

            def differs() -> None:
                migration = situation.open()
                migration.verified_at = None
                migration.save(update_fields=["verified_at"])

            found = _compared(situation, options, voice, sample, ledger, differs)
            repaired: dict[str, Any] = {}
            if found.differing and options.repair:
                home = situation.home()
                if not options.yes:
                    for line in planned(found.tables, home=home):
                        voice.say(f"would {line}")
                else:
                    done = repair(
                        situation.pair,
                        found.differing,
                        max_pause_ms=options.max_pause_ms,
                        note=lambda batch: _note(situation, batch),
                        tell=voice,
                    )
                    voice.say(f"repaired by {who()}: {done}")
                    repaired = {"repaired": asdict(done)}
                    found = _compared(situation, options, voice, sample, ledger, differs)
            evidence = _evidence(found, sample) | repaired
            if not found.equal:
                _refuse(situation, found, voice, options, evidence)
            voice.say(_when(found, sample))
            if sample is None:
                migration = situation.open()
                migration.verified_at = found.first_at
                if migration.stage == "replicate":
                    migration.stage = self.name
            return evidence

        return [Step("Comparing both sides", compare)]

    def conclude(self, situation: Situation) -> None:
        """Done by its step: a sample opens no gate."""


def _compared(
    situation: Situation,
    options: Options,
    voice: Voice,
    sample: Sample | None,
    ledger: Kept | None,
    differs: Callable[[], None],
) -> Verification:
    return verify(
        situation.pair,
        max_pause_ms=options.max_pause_ms,
        tell=voice,
        workers=options.workers,
        max_snapshot_s=options.max_snapshot_s,
        max_rows_s=options.max_rows_s,
        sample=sample,
        ledger=ledger,
        differs=differs,
    )


def _when(found: Verification, sample: Sample | None) -> str:
    each = f"each chunk was equal at a moment between {found.first_at:%H:%M:%S} and {found.last_at:%H:%M:%S} UTC"
    if sample is None:
        return each
    return (
        f"{each}; a sample, which opens no gate: {found.chunks_sampled} of {found.chunks} chunks, --seed {sample.seed}"
    )


def _note(situation: Situation, batch: dict[str, Any]) -> None:
    """Before it is done: nothing is repaired that is not recorded."""
    Record.objects.using("default").create(
        migration=situation.open(),
        module=situation.module.name,
        who=who()[:200],
        stage=Verify.name,
        what=Record.What.STEP,
        evidence={"repairing": batch},
    )


def _evidence(found: Verification, sample: Sample | None) -> dict[str, Any]:
    evidence: dict[str, Any] = {
        "equal": found.equal,
        "tables": [asdict(table) for table in found.tables],
        "rows": found.rows,
        "seconds": round(found.took_s, 1),
        "pause_ms": found.pause_ms,
        "snapshots": found.snapshots,
        "first_at": found.first_at,
        "last_at": found.last_at,
        "chunks": found.chunks,
        "chunks_kept": found.chunks_kept,
    }
    return evidence | ({"sample": asdict(sample) | {"chunks": found.chunks_sampled}} if sample else {})


def _refuse(
    situation: Situation, found: Verification, voice: Voice, options: Options, evidence: dict[str, Any]
) -> None:
    differing = [table for table in found.tables if not table.is_equal]
    for table in differing:
        for line in _lines(table):
            voice.say(line)
    raise Differs(
        f"{', '.join(table.table for table in differing)} of {situation.module.name} differ: somebody wrote past the "
        f"fence, or a row was refused on its way. Find out who, then {_way_out(situation, options)}",
        **evidence,
    )


def _way_out(situation: Situation, options: Options) -> str:
    verify = situation.command("verify")
    if options.repair and options.yes:
        return f"see whether it goes on: {verify}"
    if options.repair:
        return f"make the rows of the side that is not home like those of the home: {verify} --repair --yes"
    return f"see what would make both sides equal: {verify} --repair"


def _lines(table: TableResult) -> Iterator[str]:
    yield f"{table.table}: {table.rows_source} rows in the source, {table.rows_target} in the target"
    for row in table.differences:
        key = ", ".join(f"{column} = {value}" for column, value in row.key.items())
        yield f"  {key}: only in {row.only_in}" if row.only_in else f"  {key}: {', '.join(row.columns)}"
    if table.differing > len(table.differences):
        yield f"  {len(table.differences)} of {table.differing:,} rows that differ"


def _seed(options: Options) -> int:
    return secrets.randbelow(2**31) if options.seed is None else options.seed
