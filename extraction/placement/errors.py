"""What the fence of a module answers to a write.

psycopg.DatabaseError
├── ModuleInMotion    MV002: a switch is in progress
└── ModuleMoved       MV001: the module lives in another unit
django.db.DatabaseError
└── RefusalSwallowed  a transaction was about to commit without the write that was refused
Exception
└── NotSentOn         a task that the broker had forgotten could not be sent to the home of its module
"""

import json

import psycopg
from django.db import DatabaseError

from extraction.boundaries.operations import Refusal


class _Refused(psycopg.DatabaseError):
    @property
    def refusal(self) -> Refusal:
        """As the fence told it: SCHEMA and DETAIL."""
        try:
            told = json.loads(self.diag.message_detail or "{}")
        except ValueError:
            told = {}
        module = str(told.get("module") or self.diag.schema_name or "")
        return Refusal(module=module, home=str(told.get("home") or ""), epoch=int(told.get("epoch", -1)))


class ModuleMoved(_Refused, code="MV001"):
    """The module lives in another unit, whose database takes its writes."""


class ModuleInMotion(_Refused, code="MV002"):
    """A switch of the module is in progress; the write can be tried again in a few milliseconds."""


class RefusalSwallowed(DatabaseError):
    """A write was refused, the code went on, and its transaction would have committed the rest."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal

    def __str__(self) -> str:
        return (
            f"a write of {self.refusal.module} was refused and the error swallowed, so nothing of this is committed; "
            "let the DatabaseError through to the end of the operation"
        )


class NotSentOn(Exception):
    """A task was acknowledged before it began, and could not be sent to the home of its module."""

    def __init__(self, task: str, task_id: str, home: str) -> None:
        super().__init__(task, task_id, home)

    def __str__(self) -> str:
        task, task_id, home = self.args
        return (
            f"task {task} [{task_id}] was not done here, for its module lives in {home}, and was not sent there, for "
            f"the error above; when that is mended, send it again, with its arguments: celery -A project call {task}"
        )


def note_behind(error: psycopg.Error, refusal: Refusal) -> None:
    """What an error that names no module turned out to be: 40001, or 42P01 after `complete`."""
    error.refusal_behind = refusal  # type: ignore[attr-defined]


def refusal_behind(error: psycopg.Error) -> Refusal | None:
    """As it was noted."""
    found: Refusal | None = getattr(error, "refusal_behind", None)
    return found


def refusal_in(error: BaseException) -> Refusal | None:
    """The refusal that this error of Django or psycopg tells of."""
    for link in (error, error.__cause__):
        if isinstance(link, _Refused | RefusalSwallowed):
            return link.refusal
    return None
