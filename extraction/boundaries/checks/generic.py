"""E303: keys that may point at any model. The number of a content type is one database's own."""

from collections.abc import Iterator
from typing import Any

from django.db.models import Model

from extraction.boundaries.checks.ownership import is_out_of_reach, models_of_members
from extraction.boundaries.checks.spots import of_attribute
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member


def findings(house: House) -> Iterator[Finding]:
    """A GenericForeignKey, a key to ContentType that is part of none, and the other side's GenericRelation."""
    for member, model in models_of_members(house):
        parts = set()
        for field in model._meta.private_fields:
            if getattr(field, "mti_inherited", False):  # told of the model that has the column
                continue
            if hasattr(field, "ct_field"):
                parts.add(field.ct_field)
                yield _finding(house, member, model, field.name, "has a GenericForeignKey")
            elif hasattr(field, "content_type_field_name"):
                yield from _backwards(house, member, model, field)
        for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
            if field.remote_field and is_content_type(field.remote_field.model) and field.name not in parts:
                what = f"has a {type(field).__name__} to contenttypes.ContentType"
                yield _finding(house, member, model, field.name, what)


def is_content_type(model: Any) -> bool:
    return not isinstance(model, str) and model._meta.label == "contenttypes.ContentType"


def _backwards(house: House, member: Member, model: type[Model], field: Any) -> Iterator[Finding]:
    to = field.related_model
    if isinstance(to, str):
        return
    other = house.by_label.get(to._meta.app_label)
    if other is not member and (other or is_out_of_reach(member, to)):
        what = f"has a GenericRelation to {to._meta.label}"
        yield _finding(house, member, model, field.name, what, other.name if other else "")


def _finding(house: House, member: Member, model: type[Model], field: str, what: str, other: str = "") -> Finding:
    spot = of_attribute(house, model, field)
    return Finding(
        path=spot.path,
        line=spot.line,
        code="boundaries.E303",
        module=member.name,
        other=other,
        what=f"{what}: {model._meta.label}.{field}",
    )
