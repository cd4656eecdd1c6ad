import json
import shutil
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from extraction.boundaries.opening import house_of_project
from extraction.platform.errors import NoServer
from shop.breaches import telling
from shop.breaches.breach import Breach, NotApplicable, diff
from shop.breaches.catalogue import CATALOGUE
from shop.breaches.judging import RULES, Outcome, Proof
from shop.breaches.others import NotInstalled
from shop.breaches.program import JobFailed
from shop.breaches.run import bench

T = TypeVar("T")

WRONG_USE = 2
INTERRUPTED = 130
WIDEST = 120


class Command(BaseCommand):
    help = (
        "Breaks the boundaries of this project in every way of the catalogue, each as a patch on a scratch copy, and "
        "shows which layer catches it, and what import-linter and tach say. Ends with status 1 when a breach escapes, "
        "or a rule could be left out."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--only", metavar="N[,N]", help="these breaches alone: 22 with all its forms, 22b by itself"
        )
        parser.add_argument(
            "--prove",
            action="store_true",
            help="then take each rule away in turn, and show which breach escapes without it",
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="print a list of objects, one for each number; with --prove an object of breaches and rules",
        )
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
        proofs: list[Proof] = []
        progress = _Progress(f"Copying the project; {len(breaches)} breaches")
        try:
            with bench(root, processes=options["processes"]) as at:
                judged = at.outcomes(breaches, progress.of(len(breaches), lambda outcome: str(outcome.breach)))
                if options["prove"]:
                    codes = telling.to_prove(judged) if options["only"] else RULES
                    proofs = at.proofs(judged, codes, progress.of(len(codes), telling.proof_briefly))
        except (JobFailed, NoServer, NotInstalled) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; nothing is left behind.", returncode=INTERRUPTED) from None
        finally:
            progress.end()
        took_s = time.monotonic() - began
        house = house_of_project()
        if options["json"]:
            told: Any = telling.as_objects(judged, house)
            if options["prove"]:
                told = {"breaches": told, "rules": telling.proofs_as_objects(proofs)}
            self.stdout.write(json.dumps(told, ensure_ascii=False, indent=1))
        else:
            width = min(shutil.get_terminal_size().columns, WIDEST)
            for line in (*telling.text(judged, house, width=width), *telling.proofs_as_text(proofs, width=width)):
                self.stdout.write(line)
            self.stdout.write(telling.total(judged, proofs, took_s=took_s, processes=options["processes"]))
        if failed := list(filter(None, (_not_caught(judged), _not_needed(proofs)))):
            raise CommandError(" ".join(failed))

    def _show(self, breaches: list[Breach], root: Path) -> None:
        for breach in breaches:
            try:
                patch = diff(breach, root)
            except NotApplicable as error:
                raise CommandError(f"{breach.label}: {error}") from error
            self.stdout.write(f"# {breach}\n{patch}", ending="")


class _Progress:
    """A line on standard error, where somebody looks."""

    def __init__(self, line: str) -> None:
        self.is_shown = sys.stderr.isatty()
        self._write(line)

    def of(self, number: int, said: Callable[[T], str]) -> Callable[[T], None]:
        """Who is to hear of each of so many."""
        done = count(1)
        return lambda each: self._write(f"{next(done)} of {number}: {said(each)}")

    def end(self) -> None:
        self._write("")

    def _write(self, line: str) -> None:
        if self.is_shown:
            sys.stderr.write(f"\r\x1b[K{line[:78]}")
            sys.stderr.flush()


def _not_caught(judged: Sequence[Outcome]) -> str:
    escaped = [outcome.breach.label for outcome in telling.escaped(judged)]
    if not escaped:
        return ""
    return f"Not caught: {', '.join(escaped)}. See the patch: manage.py breaches --show {escaped[0]}"


def _not_needed(proofs: Sequence[Proof]) -> str:
    idle = [proof.code for proof in proofs if proof.escaped is None]
    return f"Nothing escapes without: {', '.join(idle)}." if idle else ""


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
