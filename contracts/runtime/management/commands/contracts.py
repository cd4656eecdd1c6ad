"""`manage.py contracts`: what modules publish beside the committed schemas, and `--write` to commit what was added."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from contracts.runtime.definitions import definitions
from contracts.runtime.gate import committed
from contracts.runtime.gate.verdicts import (
    WRITE,
    Breach,
    Unmade,
    Verdict,
    breach,
    contract_verdicts,
    interface_verdicts,
)


class Command(BaseCommand):
    help = "Compares what modules publish with contracts/schemas; ends with 1 where they differ."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("modules", nargs="*", metavar="MODULE", help="all where none is named")
        parser.add_argument("--write", action="store_true", help="write the schemas, unless a change breaks somebody")
        parser.add_argument(
            "--retire",
            action="append",
            default=[],
            metavar="NAME",
            help="with --write: what was taken out on purpose: an event, a call, an error, 'GET /api/orders/', or a "
            "module with all it had; may be said again",
        )

    def handle(self, *args: Any, modules: list[str], write: bool, retire: list[str], **options: Any) -> None:
        if retire and not write:
            raise CommandError(f"--retire is said when the schemas are written: {WRITE} --retire NAME")
        verdicts = [verdict for verdict in _verdicts() if not modules or verdict.module in modules]
        if unknown := sorted(set(modules) - {verdict.module for verdict in verdicts}):
            raise CommandError(f"no contract of {', '.join(unknown)}; there are {', '.join(sorted(definitions()))}")
        breaking = [each for verdict in verdicts for each in self._show(verdict)]
        _refuse_names_that_stand(retire, breaking)
        untouched = " Nothing was written." if write else ""
        if failed := [f"{verdict.path} {verdict.problem}" for verdict in verdicts if verdict.problem]:
            raise CommandError(f"{'; '.join(failed)}.{untouched}")
        if blocking := [each for each in breaking if not _named(each, retire)]:
            told = "1 change breaks" if len(blocking) == 1 else f"{len(blocking)} changes break"
            raise CommandError(f"{told} who uses what is published.{untouched}")
        stale = [verdict for verdict in verdicts if not verdict.fresh]
        if not write:
            if stale:
                raise CommandError(f"Write and commit what was added: {WRITE}")
            self.stdout.write(f"{len(verdicts)} schemas say what the code says.")
            return
        for verdict in stale:
            if verdict.document is None:
                verdict.file.unlink()
                self.stdout.write(f"removed {verdict.path}")
            else:
                committed.write(verdict.file, verdict.document)
                self.stdout.write(f"wrote {verdict.path}")
        if not stale:
            self.stdout.write("Nothing to write.")

    def _show(self, verdict: Verdict) -> tuple[Breach, ...]:
        """What the verdict says; what of it breaks."""
        if verdict.fresh:
            return ()
        self.stdout.write(verdict.path)
        if verdict.problem or verdict.missing:
            self.stdout.write(f"  ! {verdict.problem or 'is missing'}")
        elif not verdict.differences:
            self.stdout.write("  + other descriptions")
        found = []
        for difference in verdict.differences:
            if not difference.change.breaks:
                self.stdout.write(f"  + {difference}")
                continue
            found.append(breach(difference, definitions()))
            self.stdout.write(self.style.ERROR(f"  ! {difference}"))
            self.stdout.write(f"    {found[-1].used_by}")
            self.stdout.write(f"    {found[-1].way_out}")
        return tuple(found)


def _verdicts() -> list[Verdict]:
    try:
        return [*contract_verdicts(definitions()), *interface_verdicts(definitions())]
    except Unmade as error:
        raise CommandError(str(error)) from error


def _named(each: Breach, retire: list[str]) -> bool:
    name = each.difference.name
    return any(name == given or name.startswith(f"{given}.") for given in retire)


def _refuse_names_that_stand(retire: list[str], breaking: list[Breach]) -> None:
    for given in retire:
        named = [each for each in breaking if _named(each, [given])]
        if not named:
            raise CommandError(f"Nothing named {given!r} was taken out or changed: edit its contract or urls.py first.")
        if used := [each for each in named if not each.retirable]:
            raise CommandError(f"{given} cannot be retired: {used[0].difference}; {used[0].used_by}. {used[0].way_out}")
