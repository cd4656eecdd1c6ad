"""What only a loaded project shows: relations, bases, signals, URLs, the admin, migrations, template libraries, tasks.

The project is asked, not its source: a string that names a model, a receiver that was connected late and a URL that
was included by a computed name are seen as what they became. No database is needed.
"""

from collections.abc import Iterator

from django.apps import apps

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


def findings(house: House) -> Iterator[Finding]:
    """Raises Skipped where Django is not set up."""
    if not apps.ready:
        raise Skipped("Django is not set up here: run it as manage.py boundaries, in the project itself")
    for rule in RULES:
        yield from rule(house)
