"""What a plan cannot find out. Each message says what to do about it.

PlanError
└── Unknown       a fact cannot be had here
    └── Elsewhere  the module lives in another unit
"""


class PlanError(Exception):
    """The plan cannot be made."""


class Unknown(PlanError):
    """A fact cannot be had here; the rest of the plan stands without it."""


class Elsewhere(Unknown):
    """The module lives in another unit, whose database has the facts."""

    def __init__(self, module: str, home: str) -> None:
        self.home = home
        super().__init__(f"it lives in {home}; run there: manage.py extract plan {module}")
