"""`manage.py extract STAGE MODULE`: take a module out into a unit of its own while it is used, and put it back."""

import json
import signal
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder

from extraction.plan.document import document_of
from extraction.plan.plan import plan_of
from extraction.plan.text import lines_of
from extraction.platform.protocol import platform
from extraction.project import Module, modules
from extraction.stages.catalogue import STAGES
from extraction.stages.errors import Refused, StageError
from extraction.stages.run import EXPECTED, Outcome, plan, run
from extraction.stages.situation import Situation
from extraction.stages.stage import Options, Stage
from extraction.stages.status import Status, next_command, status


class Command(BaseCommand):
    """Each stage may be broken off and typed again."""

    help = "Takes a module out into a unit of its own while it is used, and puts it back: one stage after another."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="stage", metavar="STAGE", required=True, title="stages")
        for name, stage in STAGES.items():
            verb = verbs.add_parser(name, help=_first_sentence(stage), description=_first_sentence(stage))
            verb.add_argument("module")
            verb.add_argument("--dry-run", action="store_true", help="say what would be done, and change nothing")
            _add_json(verb)
            stage.arguments(verb)
        verb = verbs.add_parser("status", help="Where it stands, also while a stage runs.")
        verb.add_argument("module", nargs="?", help="(default: all)")
        _add_json(verb)
        _add_plan(verbs.add_parser("plan", help="What it would take, and whether to: reads, changes nothing."))

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json = options["json"]
        if options["stage"] == "status":
            self._tell_status(options["module"])
            return
        module = _module(options["module"])
        if options["stage"] == "plan":
            self._tell_plan(module, options)
            return
        stage = STAGES[options["stage"]]
        try:
            chosen = Options.chosen(options)
        except ValueError as error:
            raise CommandError(str(error)) from None
        show = Lines(OutputWrapper(cast(TextIO, self.stderr._out)) if self.as_json else self.stdout)
        try:
            situation = Situation(module, platform())
            if options["dry_run"]:
                outcome = plan(stage, situation, chosen)
            else:
                with _stopping() as is_stopping:
                    outcome = run(stage, situation, chosen, show=show, is_stopping=is_stopping)
        except EXPECTED as error:
            show.close()
            if self.as_json:
                evidence = error.evidence if isinstance(error, StageError) else {}
                word = "refused" if isinstance(error, Refused) else "failed"
                self._print(module, stage.name, word, message=str(error), evidence=evidence)
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            show.close()
            raise CommandError(f"broken off; see where it stands: manage.py extract status {module.name}") from None
        self._tell_outcome(outcome, situation, stage.name)

    def _tell_outcome(self, outcome: Outcome, situation: Situation, stage: str) -> None:
        following = situation.command("provision") if stage == "abort" and outcome.is_new else _next(situation)
        would = outcome.evidence.get("would")
        if self.as_json:
            word = "would" if would else "done" if outcome.is_new else "already"
            self._print(
                situation.module, stage, word, message=outcome.sentence, evidence=outcome.evidence, next=following
            )
            return
        if would:
            for line in would:
                self.stdout.write(f"  Would be done: {line}")
            return
        for line in _summary(outcome.evidence):
            self.stdout.write(f"  {line}")
        self.stdout.write(
            outcome.sentence[:1].upper() + outcome.sentence[1:] + ("." if outcome.is_new else " already.")
        )
        self.stdout.write(f"Next: {following}")

    def _print(self, module: Module, stage: str, outcome: str, **more: Any) -> None:
        document = {"module": module.name, "stage": stage, "outcome": outcome, **more}
        self.stdout.write(json.dumps(document, cls=DjangoJSONEncoder))

    def _tell_status(self, name: str | None) -> None:
        chosen, is_one = [_module(name)] if name else list(modules().values()), bool(name)
        try:
            found = [status(Situation(module, platform())) for module in chosen]
        except EXPECTED as error:
            raise CommandError(str(error)) from error
        if self.as_json:
            documents = [one.as_json() for one in found]
            document = documents[0] if is_one else {"modules": documents}
            self.stdout.write(json.dumps(document, cls=DjangoJSONEncoder))
            return
        for one in found:
            for line in _lines(one):
                self.stdout.write(line)

    def _tell_plan(self, module: Module, options: dict[str, Any]) -> None:
        watch_s = options["watch_s"]
        if not 0 <= watch_s <= 3600:
            raise CommandError("--watch-s takes seconds, 0 to 3600")
        found = plan_of(
            module,
            watch_s=watch_s,
            source_url=options["source_url"],
            target_url=options["target_url"],
            deploys_file=options["deploys"],
        )
        if self.as_json:
            self.stdout.write(json.dumps(document_of(found), cls=DjangoJSONEncoder))
            return
        for line in lines_of(found):
            self.stdout.write(line)


class Lines:
    """A line a step, in Django's manner: `Applying x… OK`."""

    def __init__(self, out: OutputWrapper) -> None:
        self.out = out
        self.is_open = False

    def began(self, what: str) -> None:
        self.out.write(f"  {what}…", ending="")
        self.out.flush()
        self.is_open = True

    def say(self, sentence: str) -> None:
        self.close()
        self.out.write(f"    {sentence}")
        self.out.flush()

    def ended(self, what: str, *, took_s: float) -> None:
        self.out.write(f"{'' if self.is_open else f'  {what}…'} OK ({took_s:.1f} s)")
        self.out.flush()
        self.is_open = False

    def close(self) -> None:
        """End the line that is open."""
        if self.is_open:
            self.out.write("")
        self.is_open = False


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM ask to stop; whoever asks twice is not made to wait."""
    asked: list[int] = []

    def ask(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _module(name: str) -> Module:
    known = modules()
    if name not in known:
        raise CommandError(f"{name!r} is no module of this unit; there are {', '.join(sorted(known))}")
    return known[name]


def _summary(evidence: dict[str, Any]) -> Iterator[str]:
    """What a person wants to know of it."""
    if "lock_to_open_ms" in evidence and evidence["attempts"]:
        yield (
            f"epoch {evidence['epoch']}: writers waited {evidence['lock_to_open_ms']:.1f} ms from lock to open, "
            f"attempt {evidence['attempts']}"
        )
    if "rows_per_s" in evidence:
        yield (
            f"{evidence['rows']} rows in {evidence['tables']} tables, {evidence['seconds']:g} s, "
            f"{evidence['rows_per_s']} rows/s"
        )
    if "pause_ms" in evidence:
        rows = sum(table["rows_source"] for table in evidence["tables"])
        yield f"{rows} rows in {len(evidence['tables'])} tables are equal; writers waited {evidence['pause_ms']:.1f} ms"


def _lines(one: Status) -> Iterator[str]:
    if not one.migration:
        way = "completed, " if one.stage else ""
        yield f"{one.module}: {way}lives in {one.home or '?'} (epoch {one.epoch}), no migration. Next: {one.next}"
        return
    yield f"{one.module}: {one.stage or 'begun'}, lives in {one.home or '?'} (epoch {one.epoch})"
    for place in one.sides:
        yield f"  {place.unit}: {place.problem or f'home {place.home}, epoch {place.epoch}'}"
    yield f"  reads: {one.reads_percent:g} % in the new unit"
    if one.lag_bytes is not None:
        longer = "more than " if one.lag_is_longer else ""
        late = f", {longer}{one.lag_s:.2f} s" if one.lag_s is not None else ""
        yield f"  behind: {one.lag_bytes} bytes{late}"
    if one.copying:
        yield f"  copying: {one.copying}"
    if one.running:
        yield f"  running: {one.running}"
    for problem in one.problems:
        yield f"  problem: {problem}"
    yield f"  next: {one.next}"


def _next(situation: Situation) -> str:
    return next_command(situation, home=situation.home())


def _add_json(verb: ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="one JSON object on standard output, progress on the other")


def _add_plan(verb: ArgumentParser) -> None:
    verb.add_argument("module")
    verb.add_argument(
        "--source-url", default="", metavar="URL", help="of an administrator, where the project says none"
    )
    verb.add_argument("--target-url", default="", metavar="URL", help="look at this database too, as an administrator")
    verb.add_argument("--watch-s", type=float, default=5.0, help="how long writes are counted (default: 5)")
    verb.add_argument("--deploys", default="", metavar="FILE", help="deploys on record, a line of JSON each")
    _add_json(verb)


def _first_sentence(stage: Stage) -> str:
    return str(stage.__doc__).strip().splitlines()[0]
