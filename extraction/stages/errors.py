"""Why a stage did not happen. Each message ends with the next command to type.

StageError
├── Refused      it is not its turn, or a gate holds
├── Busy         somebody else coordinates this module
├── Obstructed   a server or a table stands in the way
├── Differs      both sides were compared and are not equal
├── ReadsFailed  the candidate failed reads; they are home again
├── Unread       nobody read while the candidate was watched
├── Remains      something of the migration could not be taken away
└── Stopped      somebody asked to stop, between two steps
"""

from typing import Any


class StageError(Exception):
    """The stage did not happen; `evidence` goes into the record."""

    def __init__(self, message: str, **evidence: Any) -> None:
        super().__init__(message)
        self.evidence = evidence


class Refused(StageError):
    """It is not this stage's turn, or a gate holds."""


class Busy(StageError):
    """Somebody else coordinates this module."""


class Obstructed(StageError):
    """A server or a table stands in the way."""


class Differs(StageError):
    """Both sides were compared and are not equal."""


class ReadsFailed(StageError):
    """The candidate failed reads; all reads are home again."""


class Unread(StageError):
    """Nobody read while the candidate was watched, so nothing is known of it."""


class Remains(StageError):
    """Something of the migration could not be taken away."""


class Stopped(StageError):
    """Somebody asked to stop; what was done so far is kept."""
