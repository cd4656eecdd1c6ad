"""What only a loaded project shows: relations, bases, signals, URLs, the admin, migrations, template libraries, tasks.

The project is asked, not its source: a string that names a model, a receiver that was connected late and a URL that
was included by a computed name are seen as what they became. No database is needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.apps import apps
from django.conf import settings

from extraction.boundaries.checks import (
    admin,
    bases,
    generic,
    libraries,
    migrations,
    relations,
    signals,
    tasks,
    urls,
)
from extraction.boundaries.findings import Finding, Layer, Skipped
from extraction.boundaries.house import House

RULES: tuple[Layer, ...] = (
    relations.findings,
    bases.findings,
    generic.findings,
    signals.findings,
    urls.findings,
    admin.findings,
    migrations.findings,
    libraries.findings,
    tasks.findings,
)


@dataclass(frozen=True, slots=True)
class Died:
    """A rule met an object, of the project or of a package, that does not let itself be asked."""

    rule: str
    error: Exception

    def __str__(self) -> str:
        return f"has what the rule {self.rule!r} died of: {type(self.error).__name__}: {self.error}"


def findings(house: House) -> Iterator[Finding]:
    """Without what SILENCED_SYSTEM_CHECKS names. Raises Skipped where Django is not set up."""
    if not apps.ready:
        raise Skipped("Django is not set up here: run it as manage.py boundaries, in the project itself")
    for each in looked(house):
        if isinstance(each, Died):
            yield Finding(code="boundaries.E001", module="", other="", what=str(each))
        elif each.code not in settings.SILENCED_SYSTEM_CHECKS:
            yield each


def looked(house: House) -> Iterator[Finding | Died]:
    """Of all rules, also where one dies half-way."""
    for rule in RULES:
        try:
            yield from rule(house)
        except Exception as error:
            yield Died(rule.__module__.rpartition(".")[2], error)
