"""Why a comparison or a repair was not done.

CutoverError
├── Stale         a server ended a snapshot
└── Unrepairable  rows cannot be made equal one by one
"""

from extraction.cutover.errors import CutoverError


class Stale(CutoverError):
    """A server ended a snapshot. What was found equal before is kept."""


class Unrepairable(CutoverError):
    """Rows cannot be made equal one by one. What was repaired before is recorded."""
