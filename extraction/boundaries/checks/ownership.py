"""Whose a model, a piece of code and a table's database are."""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.db import router
from django.db.models import Model

from extraction.boundaries.house import House, Member
from extraction.boundaries.places import code_of


def models_of_members(house: House) -> Iterator[tuple[Member, type[Model]]]:
    """All but the tables that a many-to-many field makes itself: the field is looked at."""
    for model in apps.get_models(include_swapped=True):
        if member := house.by_label.get(model._meta.app_label):
            yield member, model


def owner_of_code(house: House, code: Any) -> Member | None:
    """By where a function or a class is written."""
    return house.owner(str(code_of(code).__module__))


def is_out_of_reach(member: Member, model: type[Model]) -> bool:
    """Whether the table of a model that is no module's is kept in another database than the member's."""
    return bool(member.alias) and router.db_for_write(model) != member.alias
