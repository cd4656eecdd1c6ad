"""E301: keys between models of two modules, however the other model is named.

A key to a model that is no module's (`auth.User`) counts where the module has a database of its own, for no constraint
and no join reaches from one to the other. On a database that both use it is left alone until its app is given to a
module.
"""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model

from extraction.boundaries.checks.generic import is_content_type
from extraction.boundaries.checks.ownership import is_out_of_reach, models_of_members
from extraction.boundaries.checks.spots import of_attribute
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member


def findings(house: House) -> Iterator[Finding]:
    """Foreign keys, one-to-one and many-to-many fields; those of inheritance and to ContentType are told as such."""
    for member, model in models_of_members(house):
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
            if field.remote_field is None or is_inheritance(field):
                continue
            for to in _ends(field):
                yield from _relation(house, member, model, field, to)


def is_inheritance(field: Any) -> bool:
    """Told by E302, of the class."""
    return bool(getattr(field.remote_field, "parent_link", False))


def _ends(field: Any) -> Iterator[type[Model] | str]:
    """The model at the other end, a string while it is not installed; and the one between, where it is named."""
    yield field.remote_field.model
    through = getattr(field.remote_field, "through", None)
    if through is not None and not getattr(getattr(through, "_meta", None), "auto_created", False):
        yield through


def _relation(house: House, member: Member, model: type[Model], field: Any, to: type[Model] | str) -> Iterator[Finding]:
    label = to if isinstance(to, str) else to._meta.label
    other = house.by_label.get(label.partition(".")[0]) if "." in label else member
    instead = ""
    if other is member or is_content_type(to):
        return
    if other is None:
        if isinstance(to, str) or not is_out_of_reach(member, to):
            return
        instead = f"keep its id as a plain value: {label} is no module's, and lives in another database"
    spot = of_attribute(house, model, field.name)
    yield Finding(
        path=spot.path,
        line=spot.line,
        code="boundaries.E301",
        module=member.name,
        other=other.name if other else "",
        what=f"has a {type(field).__name__} to {label}: {model._meta.label}.{field.name}",
        instead=instead,
    )
