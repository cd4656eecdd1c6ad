import json
import shutil
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from extraction.boundaries.opening import house_of_project
from extraction.platform.errors import NoServer
from shop.breaches import telling
from shop.breaches.breach import Breach, NotApplicable, diff
from shop.breaches.catalogue import CATALOGUE
from shop.breaches.judging import Outcome
from shop.breaches.others import NotInstalled
from shop.breaches.program import JobFailed
from shop.breaches.run import outcomes

WRONG_USE = 2
WIDEST = 120


class Command(BaseCommand):
    help = (
        "Breaks the boundaries of this project in every way of the catalogue, each as a patch on a scratch copy, and "
        "shows which layer catches it, and what import-linter and tach say. Ends with status 1 when a breach escapes."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--only", metavar="N[,N]", help="these breaches alone: 22 with all its forms, 22b by itself"
        )
        parser.add_argument("--json", action="store_true", help="print a list of objects, one for each number")
        parser.add_argument("--show", metavar="N", help="print the patch as a unified diff, and run nothing")
        parser.add_argument(
            "--processes",
            type=int,
            default=2,
            metavar="N",
            help="breaches that are tried at the same time (default: 2)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        root = Path(settings.BASE_DIR)
        if options["show"]:
            self._show(_named(options["show"]), root)
            return
        if options["processes"] < 1:
            raise CommandError("--processes takes a number, 1 or more", returncode=WRONG_USE)
        breaches = _named(options["only"]) if options["only"] else list(CATALOGUE)
        began = time.monotonic()
        progress = _Progress(len(breaches))
        try:
            judged = outcomes(breaches, root=root, processes=options["processes"], tell=progress)
        except (JobFailed, NoServer, NotInstalled) as error:
            raise CommandError(str(error)) from error
        finally:
            progress.end()
        took_s = time.monotonic() - began
        house = house_of_project()
        if options["json"]:
            self.stdout.write(json.dumps(telling.as_objects(judged, house), ensure_ascii=False, indent=1))
        else:
            width = min(shutil.get_terminal_size().columns, WIDEST)
            for line in telling.text(judged, house, width=width):
                self.stdout.write(line)
            self.stdout.write(telling.total(judged, took_s=took_s, processes=options["processes"]))
        if escaped := telling.escaped(judged):
            labels = ", ".join(outcome.breach.label for outcome in escaped)
            raise CommandError(
                f"Not caught: {labels}. See the patch: manage.py breaches --show {escaped[0].breach.label}"
            )

    def _show(self, breaches: list[Breach], root: Path) -> None:
        for breach in breaches:
            try:
                patch = diff(breach, root)
            except NotApplicable as error:
                raise CommandError(f"{breach.label}: {error}") from error
            self.stdout.write(f"# {breach.label} {breach.title}\n{patch}", ending="")


class _Progress:
    """A line on standard error, where somebody looks."""

    def __init__(self, number: int) -> None:
        self.number, self.done = number, 0
        self.is_shown = sys.stderr.isatty()
        self._write(f"Copying the project; {number} breaches")

    def __call__(self, outcome: Outcome) -> None:
        self.done += 1
        self._write(f"{self.done} of {self.number}: {outcome.breach.label} {outcome.breach.title}")

    def end(self) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if self.is_shown:
            sys.stderr.write(f"\r\x1b[K{line[:78]}")
            sys.stderr.flush()


def _named(said: str) -> list[Breach]:
    """The breaches with these numbers or labels, in the catalogue's order."""
    asked = [each.strip() for each in said.split(",") if each.strip()]
    known = {breach.label for breach in CATALOGUE}
    if unknown := [each for each in asked if each not in known]:
        numbers = max(breach.number for breach in CATALOGUE)
        raise CommandError(
            f"no breach is numbered {', '.join(unknown)}; they are 1 to {numbers}, and variants such as 22b",
            returncode=WRONG_USE,
        )
    return [breach for breach in CATALOGUE if breach.label in asked or str(breach.number) in asked]
