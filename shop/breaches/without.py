"""Takes one rule away for the rest of a process, as if nobody had written it.

To drop its findings is not enough: a rule of the source keeps strings from the rules behind it, a reader of imports
keeps places from import-linter's contracts, a guard that refuses a statement keeps the next guard from being asked, and
E301 leaves the key of inheritance to E302, that to ContentType to E303. For the other rules of the checks, of the
database and of the contracts the dropping is enough: a superuser, whom E404 leaves to E403, is no breach here.
"""

from collections.abc import Callable, Iterator
from typing import Any

from contracts.runtime import calls, dispatch
from extraction.boundaries import guards, imports, linter, source
from extraction.boundaries.checks import relations

READERS: dict[str, tuple[Any, str]] = {
    "boundaries.E101": (imports._Reader, "direct"),
    "boundaries.E102": (imports._Reader, "through_helpers"),
    "boundaries.E103": (imports._Reader, "published"),
    "boundaries.E104": (linter, "broken"),
    "boundaries.E302": (relations, "is_inheritance"),
    "boundaries.E303": (relations, "is_content_type"),
    "boundaries.E501": (calls, "open_transactions"),
    "boundaries.E504": (dispatch, "open_transactions"),
}
"""Who tells of a code, or leaves a thing to it, where that is one function: it tells of nothing, and leaves nothing."""
GUARDS = {
    "boundaries.E501": guards.ForeignTransaction,
    "boundaries.E502": guards.SecondCommit,
    "boundaries.E503": guards.ForeignTable,
}


def take_away(code: str) -> None:
    """What is left of its findings, whoever looks has to drop."""
    source.RULES = tuple(_giving_back(rule, code) for rule in source.RULES)
    source.OF_HELPERS = tuple(_giving_back(rule, code) for rule in source.OF_HELPERS)
    if code in READERS:
        owner, name = READERS[code]
        getattr(owner, name)  # a name that is no longer there would be taken away without an effect
        setattr(owner, name, lambda *_, **__: [])
    report = guards._report

    def report_others(guard: type[guards.GuardError], module: str, other: str, message: str) -> None:
        if guard is not GUARDS.get(code):
            report(guard, module, other, message)

    guards._report = report_others


def _giving_back(rule: Callable[..., Iterator[Any]], code: str) -> Callable[..., Iterator[Any]]:
    """What the rule takes for a finding of this code, the rules behind it may have."""

    def found(text: Any, neighbours: Any) -> Iterator[Any]:
        taken = set(text.taken)
        for each in rule(text, neighbours):
            if f"boundaries.{each.code}" == code:
                text.taken.intersection_update(taken)
            else:
                yield each
            taken = set(text.taken)

    return found
