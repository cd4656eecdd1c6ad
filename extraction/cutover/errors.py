"""Why a home was not moved, or not seen to move. Each message ends with the command to type next.

CutoverError
├── Away             a side does not answer
├── Elsewhere        the module lives in neither side
├── NotFollowing     the other side does not get all that the home commits
│   └── Behind       it does, but later than the pause allows
├── Busy             open transactions hold the module
├── Overtaken        somebody else moves it at the same time
├── Different        the tables are not of the same kind on both sides
├── Unclear          the connection broke while the home was handed over
├── NotOpen          the home has moved, and the new one has not heard of it
├── NotBetween       the module has a home, so that there is nothing to recall
├── Copied           a side is a copy of an earlier time
└── UnknownFailpoint
"""


class CutoverError(Exception):
    """The home was not moved, or not seen to move."""


class Away(CutoverError):
    """A side does not answer. Nothing was changed."""


class Elsewhere(CutoverError):
    """The module lives in neither side of this migration. Nothing was changed."""


class NotFollowing(CutoverError):
    """The other side does not get all that the home commits. Nothing was changed."""


class Behind(NotFollowing):
    """The other side gets what the home commits later than the pause allows. Nothing was changed."""


class Busy(CutoverError):
    """Open transactions that wrote the module's tables did not end within the pause. Nothing was changed."""


class Overtaken(CutoverError):
    """Somebody else has moved the module meanwhile. This attempt changed nothing."""


class Different(CutoverError):
    """The tables do not have the same columns on both sides, so that their rows cannot be compared."""


class Unclear(CutoverError):
    """The connection broke while the home was handed over, and the row that says what came of it cannot be read."""


class NotOpen(CutoverError):
    """The home has moved; the new one opens when the row arrives, by itself, and has not done so yet."""


class NotBetween(CutoverError):
    """The module has a home, so that there is nothing to recall. Nothing was changed."""


class Copied(CutoverError):
    """A side knows less than it has said before: it was restored from a copy of an earlier time."""


class UnknownFailpoint(CutoverError):
    """EXTRACT_FAILPOINT names no failpoint."""
