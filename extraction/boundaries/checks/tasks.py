"""E309: Celery tasks of one module under a name that begins as another's.

A worker that has left takes over what is sent under its module's names, and a task of that name which stayed behind is
never run again. Celery is not imported: a project that has it has loaded it.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec

from extraction.boundaries.checks.ownership import owner_of_code
from extraction.boundaries.checks.spots import Spot, in_file, of
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member


def findings(house: House) -> Iterator[Finding]:
    """Of what is registered, and of each package's `tasks`, which a process that sends nothing has not loaded yet."""
    if "celery" not in sys.modules:
        return
    for member in house.members:
        for package in member.packages:
            yield from _loaded(house, member, f"{package}.tasks")
    for name, task in sorted(sys.modules["celery"].current_app.tasks.items()):
        owner, other = house.owner(task.__module__), _named(house, name)
        if owner and other and owner is not other:
            spot = of(house, getattr(task, "run", None)) if owner_of_code(house, task.run) else Spot()
            yield Finding(
                path=spot.path,
                line=spot.line,
                code="boundaries.E309",
                module=owner.name,
                other=other.name,
                what=f"registers its task under the name {name!r}",
            )


def _loaded(house: House, member: Member, dotted: str) -> Iterator[Finding]:
    try:
        if find_spec(dotted):
            import_module(dotted)
    except (Exception, SystemExit) as error:  # of the project's own code, whatever it does at import
        path = in_file(house, house.directory(dotted).with_suffix(".py")).path
        what = f"has tasks that cannot be loaded: {type(error).__name__}: {error}"
        yield Finding(path=path, code="boundaries.E001", module=member.name, other="", what=what)


def _named(house: House, name: str) -> Member | None:
    """Whose a name is: by its package, else by a label before the first dot."""
    first, dot, _ = name.partition(".")
    return house.owner(name) or (house.by_label.get(first) if dot else None)
