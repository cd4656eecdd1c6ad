"""What `manage.py boundaries` and `python -m extraction.boundaries` share: their options, and how a run ends."""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from extraction.boundaries import baseline, report
from extraction.boundaries.baseline import BadBaseline, Baseline, Held
from extraction.boundaries.findings import Layer
from extraction.boundaries.house import House
from extraction.boundaries.opening import away
from extraction.boundaries.run import Looked, look, only, with_ways_out

if TYPE_CHECKING:
    from extraction.boundaries.catalogue import Offer

FOUND, WRONG_USE, UNREAD = 1, 2, 141
"""Exit statuses, besides 0. The last is what a shell tells of whoever wrote to a reader that had gone."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


ALONE = (
    "One module alone is declared, and what reaches into it from code of no module is no finding: declare the others "
    'too, in "modules" of EXTRACTION or with --modules.'
)


class WrongUse(Exception):
    """The run cannot begin as it was asked for; the message says what to type."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--module", action="append", default=[], metavar="M", help="Only what touches this module.")
    parser.add_argument("--layer", action="append", default=[], metavar="L", help="Only this layer; may be repeated.")
    parser.add_argument("--format", choices=report.FORMATS, default="text")
    parser.add_argument("--strict", action="store_true", help="Fail too where a layer could not look.")
    parser.add_argument(
        "--baseline", type=Path, metavar="FILE", help="What is accepted; it may only shrink, and is to be kept so."
    )
    parser.add_argument(
        "--update-baseline",
        action="store_true",
        help="Take out of the baseline what no longer occurs. Makes the file where there is none.",
    )


@contextmanager
def to_terminal() -> Iterator[None]:
    """Around what writes to it. What it cannot show is escaped; a reader that leaves (`| head`) ends the program."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python fails again, where it ends
        sys.exit(UNREAD)


def carry_out(
    house: House,
    layers: Mapping[str, Layer],
    options: Mapping[str, Any],
    *,
    write: Callable[[str], object],
    typed: str,
    offers: "Callable[[], Mapping[str, Offer]]" = dict,
) -> int:
    """Look, write the report, return the exit status. `typed` begins the commands that it advises. Raises WrongUse."""
    modules = frozenset(options["module"])
    if unknown := sorted(modules - set(house.names)):
        raise WrongUse(f"no module {unknown[0]!r}; there are {', '.join(house.names)}")
    if unknown := [name for name in options["layer"] if name not in layers]:
        raise WrongUse(f"no layer {unknown[0]!r}; there are {', '.join(layers)}")
    chosen = {name: layer for name, layer in layers.items() if not options["layer"] or name in options["layer"]}
    accepted = _accepted(options, modules, typed)

    looked = only(look(house, chosen), modules)
    if any(one.findings for one in looked):
        offered = offers()
        looked = [with_ways_out(one, offered) for one in looked]
    blind = [one.layer for one in looked if one.skipped] if options["strict"] else []
    notes = [f"{package} stands elsewhere than {house.root}: its files are not read." for package in away(house)]
    if len(house.members) == 1:
        notes.append(ALONE)
    held, failures = None, list[str]()
    if accepted is not None:
        held = baseline.hold(accepted, looked, modules)
        if options["update_baseline"]:
            held, told = _kept(held, looked, modules, options["baseline"])
            notes += told
        failures += _advice(held, options["baseline"], typed)
    if blind:
        failures.append(f"Failed, for --strict: {', '.join(blind)} could not look.")
    if options["format"] == "json":
        write(report.as_json(house, looked, held, notes, failures))
    else:
        form = report.github if options["format"] == "github" else report.text
        for line in form(house, looked, held, notes, failures):
            write(_CONTROL.sub(lambda found: repr(found[0])[1:-1], line))  # a name of a file may have any
    wrong = any(one.findings for one in looked) if held is None else held.new or held.gone
    return FOUND if wrong or blind else 0


def _accepted(options: Mapping[str, Any], modules: frozenset[str], typed: str) -> Baseline | None:
    """The baseline that is asked for, before anything is looked at."""
    file: Path | None = options["baseline"]
    if file is None:
        if options["update_baseline"]:
            raise WrongUse(f"which file? Type: {typed} --baseline FILE --update-baseline")
        return None
    try:
        return baseline.read(file)
    except BadBaseline as error:
        raise WrongUse(str(error)) from error
    except FileNotFoundError:
        if not options["update_baseline"]:
            raise WrongUse(f"there is no {file}. To make it: {typed} --baseline {file} --update-baseline") from None
        if modules:
            raise WrongUse("a baseline is made of all modules: leave --module out") from None
        return Baseline()
    except OSError as error:
        raise WrongUse(f"{file}: {error.strerror or error}; give a file that can be read") from error


def _kept(held: Held, looked: list[Looked], modules: frozenset[str], file: Path) -> tuple[Held, list[str]]:
    """The same run against what the file says now, and what is to be told of it."""
    try:
        baseline.write(file, held.after)
    except OSError as error:
        raise WrongUse(f"{file}: {error.strerror or error}; give a file that can be written") from error
    held = baseline.hold(held.after, looked, modules)
    size = sum(held.after.counts.values())
    notes = [f"{file} has {size} finding{'s' * (size != 1)} now."]
    if held.new:
        notes.append("It takes in none that is new: mend what stands above.")
    return held, notes


def _advice(held: Held, file: Path, typed: str) -> list[str]:
    if not held.gone:
        return []
    number = sum(held.gone.values())
    it = "it" if number == 1 else "them"
    told = [
        f"{number} of the baseline no longer occur{'s' * (number == 1)}:",
        *(f"    {line}" for line in report.listed(held.gone)),
        f"    Take {it} out, so that {'it' if number == 1 else 'they'} cannot come back: "
        f"{typed} --baseline {file} --update-baseline",
    ]
    return ["\n".join(told)]
