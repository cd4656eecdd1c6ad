"""E302: models that inherit from another module's: a proxy, a table that is joined, an abstract base, a mixin."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model
from django.db.models.base import ModelBase

from extraction.boundaries.checks.ownership import is_out_of_reach, models_of_members
from extraction.boundaries.checks.spots import of
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member


def findings(house: House) -> Iterator[Finding]:
    """Of each model the nearest base that is another module's. As in E301, one that is no module's counts where its
    table is kept in another database. So does a model that is written in one module and labelled as another's."""
    for member, model in models_of_members(house):
        yield from _label(house, member, model)
        told: list[type[Any]] = []
        for base in model.__mro__[1:]:
            if any(issubclass(each, base) for each in told):
                continue
            if breach := _breach(house, member, model, base):
                told.append(base)
                yield breach


def _breach(house: House, member: Member, model: type[Model], base: type[Any]) -> Finding | None:
    is_table = isinstance(base, ModelBase) and base is not Model and not base._meta.abstract
    other = house.by_label.get(base._meta.app_label) if is_table else house.owner(base.__module__)
    if other is member or (other is None and not (is_table and is_out_of_reach(member, base))):
        return None
    if not is_table:
        how = "builds on the class"
    else:
        how = "is a proxy of" if model._meta.proxy else "inherits from"
    spot = of(house, model)
    return Finding(
        path=spot.path,
        line=spot.line,
        code="boundaries.E302",
        module=member.name,
        other=other.name if other else "",
        what=f"{how} {base._meta.label if is_table else f'{base.__module__}.{base.__qualname__}'}: {model._meta.label}",
    )


def _label(house: House, member: Member, model: type[Model]) -> Iterator[Finding]:
    writer = house.owner(model.__module__)
    if writer is None or writer is member:
        return
    spot = of(house, model)
    yield Finding(
        path=spot.path,
        line=spot.line,
        code="boundaries.E302",
        module=writer.name,
        other=member.name,
        what=f"writes a model under the label of another: {model._meta.label}",
        instead=f"write it where {member.name} is, or label it as {writer.name}'s",
    )
