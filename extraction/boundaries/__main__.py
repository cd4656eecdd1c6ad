"""`python -m extraction.boundaries PATH --modules order=saleor.order,payment=saleor.payment`

The layers that need the source alone, for a checkout that need not be importable here: no settings, no database.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from extraction.boundaries import command
from extraction.boundaries.command import WRONG_USE, WrongUse
from extraction.boundaries.opening import NoHouse, house_at
from extraction.boundaries.run import static_layers


def main(words: Sequence[str]) -> int:
    """Exit status: 0, 1 with findings, 2 where it was asked for wrongly."""
    parser = argparse.ArgumentParser(
        prog="python -m extraction.boundaries",
        description="Where one module of a Django project reaches into another, from its source alone.",
    )
    parser.add_argument("path", type=Path, help="The directory from which the project's packages are imported.")
    parser.add_argument(
        "--modules",
        type=_modules,
        required=True,
        metavar="NAME=PACKAGE,…",
        help="A name that is said again has several packages.",
    )
    parser.add_argument("--published", type=_names, default=[], metavar="PACKAGE,…", help="The published language.")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="Where to keep what was read, for the next time.")
    command.add_arguments(parser)
    options = vars(parser.parse_args(words))
    typed = f"{parser.prog} {shlex.join(_without(words, '--baseline', '--update-baseline'))}"
    try:
        house = house_at(
            options["path"], modules=options["modules"], published=options["published"], cache=options["cache"]
        )
        with command.to_terminal():
            return command.carry_out(house, static_layers(), options, write=_say, typed=typed)
    except (NoHouse, WrongUse) as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    return WRONG_USE


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _names(said: str) -> list[str]:
    return [each.strip() for each in said.split(",") if each.strip()]


def _modules(said: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in _names(said):
        name, _, package = each.partition("=")
        if not name or not package:
            raise argparse.ArgumentTypeError(f"{each!r} is not NAME=PACKAGE: write order=saleor.order")
        found.setdefault(name, []).append(package)
    return found


def _without(words: Sequence[str], option: str, flag: str) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == option:
            skip = True
        elif word != flag and not word.startswith(f"{option}="):
            kept.append(word)
    return kept


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
