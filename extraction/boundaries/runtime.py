"""What the guards raise, as findings: for a program that runs a project's code and reports as the other layers do."""

import re

from extraction.boundaries.findings import Finding
from extraction.boundaries.guards import ForeignTable, ForeignTransaction, GuardError, SecondCommit

_SITE = re.compile(r"(?P<path>[^:]+):(?P<line>\d+)")


def finding_of(error: GuardError) -> Finding:
    """Of a guard that raised; its place is the line of the module that the guard names."""
    code, what = {
        ForeignTransaction: ("boundaries.E501", f"runs SQL of {error.other} while a transaction of its own is open"),
        SecondCommit: ("boundaries.E502", f"commits a second time in one operation{_first(error)}"),
        ForeignTable: ("boundaries.E503", f"runs SQL for a table of {error.other}"),
    }[type(error)]
    place = _SITE.match(error.site)
    return Finding(
        path=place["path"] if place else "",
        line=int(place["line"]) if place else 0,
        code=code,
        module=error.module,
        other=error.other,
        what=what,
    )


def _first(error: GuardError) -> str:
    """Where the first commit was, as the guard says it."""
    found = re.search(r" \(first at [^)]*\)", str(error))
    return found[0] if found else ""
