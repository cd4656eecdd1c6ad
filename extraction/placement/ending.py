"""How a program ends that the fence refused: one sentence that says where to run it, status 1, no traceback.

For management commands, cron jobs and scripts: whatever lets the refusal through to its end. What Python does with all
other errors stays as it was.
"""

import os
import shlex
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import psycopg

from extraction import project
from extraction.boundaries import operations
from extraction.boundaries.operations import Refusal
from extraction.placement.errors import refusal_behind, refusal_in


def install() -> None:
    """Put the sentence in the place of the traceback in this process."""
    if getattr(sys.excepthook, "of_extraction", False):
        return
    otherwise = sys.excepthook

    def end(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> Any:
        refusal = _refusal_behind(error)
        if refusal is None or "--traceback" in sys.argv:
            return otherwise(kind, error, trace)
        sys.stderr.write(f"{sentence(refusal, operations.of_process, command=_command())}\n")
        return None

    end.of_extraction = True  # type: ignore[attr-defined]
    sys.excepthook = end


def sentence(refusal: Refusal, committed: Mapping[str, int], *, command: str) -> str:
    """What happened, what of it is done, and what to type where."""
    if refusal.in_motion:
        happened = f"{refusal.module} is on its way to another unit, and takes no writes for some milliseconds."
        then = f"run it again in a few seconds: {command}"
    else:
        happened = f"{refusal.module} lives in {refusal.home}, not in {project.unit()}, and takes no writes here."
        then = f"run it there, in the environment of {refusal.home}: {command}"
    done = ", ".join(f"{alias} {number}" for alias, number in sorted(committed.items()))
    if not done:
        return f"{happened} Nothing was committed; {then}"
    return (
        f"{happened} The transaction that met this is rolled back, those that this process committed before are not: "
        f"{done}. See which part is done, then {then}"
    )


def _refusal_behind(error: BaseException) -> Refusal | None:
    link: BaseException | None = error
    while link is not None:
        if (refusal := refusal_in(link)) is not None:
            return refusal
        if isinstance(link, psycopg.Error) and (refusal := refusal_behind(link)) is not None:
            return refusal
        link = link.__cause__
    return None


def _command() -> str:
    """The program and the name of the command, without its arguments: a password may be among them."""
    name = os.path.basename(sys.argv[0])
    named = sys.argv[1:2] if name in ("manage.py", "django-admin", "__main__.py") else []
    return shlex.join(["manage.py" if name == "__main__.py" else name, *named])
