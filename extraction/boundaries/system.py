"""The same rules as Django's own checks: `manage.py check --tag boundaries`, and at the start of every command.

They warn, for a project that has just begun to draw its edges has to start all the same. EXTRACTION["boundaries"] says
otherwise: "error" where the edges hold and are to stay so, "off" where they are looked at with `manage.py boundaries`
and its baseline alone. SILENCED_SYSTEM_CHECKS silences a code as it does any other.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import AppConfig
from django.core import checks

from extraction import project
from extraction.boundaries.codes import CODES
from extraction.boundaries.findings import Finding

TAG = "boundaries"
TO_MEND = "What that rule finds is not told: take the object away, or report the error to whoever keeps this tooling."
SEVERITY = {"warning": checks.WARNING, "error": checks.ERROR}


def register() -> None:
    """Once, when the tooling is loaded."""
    checks.register(boundaries_hold, TAG)


def boundaries_hold(app_configs: Iterable[AppConfig] | None, **_: Any) -> list[checks.CheckMessage]:
    """E301 to E309; of the given apps where some are given. Raises ImproperlyConfigured."""
    from extraction.boundaries.checks import Died, looked
    from extraction.boundaries.opening import NoHouse, house_of_project

    severity = _severity()
    if severity is None:
        return []
    try:
        house = house_of_project()
    except NoHouse as error:
        return [checks.Warning(str(error), hint="docs/boundaries.md", id="extraction.W001")]
    found, messages = set[Finding](), list[checks.CheckMessage]()
    for each in looked(house):
        if isinstance(each, Died):
            messages.append(checks.Warning(f"the project {each}", hint=TO_MEND, id="extraction.W002"))
        elif each.code != "boundaries.E001":  # Django's own checks say it
            found.add(each)
    if app_configs is not None:
        asked = {member.name for config in app_configs if (member := house.by_label.get(config.label))}
        found = {finding for finding in found if finding.module in asked}
    return [*messages, *(_message(finding, severity) for finding in sorted(found))]


def _severity() -> int | None:
    return SEVERITY.get(project.said().get("boundaries", "warning"))


def _message(finding: Finding, severity: int) -> checks.CheckMessage:
    across = f"{finding.module} → {finding.other}" if finding.other else finding.module
    question = f"Should {finding.module} know {finding.other} at all? " if finding.other else ""
    instead = finding.instead or CODES[finding.code].instead
    return checks.CheckMessage(
        severity,
        f"{finding.place}: {across}: {finding.what}" if finding.place else f"{across}: {finding.what}",
        hint=f"{question}{instead[0].upper()}{instead[1:]}.",
        id=finding.code,
    )
