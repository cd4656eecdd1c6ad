"""E306: classes of the admin in one module that show or change another's models, on any admin site."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model

from extraction.boundaries.checks.ownership import owner_of_code
from extraction.boundaries.checks.spots import of, of_attribute
from extraction.boundaries.findings import Finding
from extraction.boundaries.house import House, Member

PATHS = (
    *("list_display", "list_filter", "search_fields", "ordering", "list_select_related", "date_hierarchy"),
    *("autocomplete_fields", "raw_id_fields", "filter_horizontal", "filter_vertical"),
)
"""Options whose names of fields may lead through relations: `payment__state`."""


def findings(house: House) -> Iterator[Finding]:
    """Nothing where the project has no admin. A plain `admin.site.register(Payment)` leaves no trace of who says it:
    the import of the model does."""
    if (sites := sys.modules.get("django.contrib.admin.sites")) is None:
        return
    for site in sorted(sites.all_sites, key=lambda site: str(site.name)):
        for model, shown in site._registry.items():
            if member := owner_of_code(house, type(shown)):
                yield from _page(house, member, model, type(shown), shown.inlines)


def _page(
    house: House, member: Member, model: type[Model], of_class: type[Any], inlines: Iterable[Any]
) -> Iterator[Finding]:
    if other := _other(house, member, model):
        spot = of(house, of_class)
        yield _finding(spot, member, other, f"administers {model._meta.label}: {of_class.__qualname__}")
    else:
        yield from _paths(house, member, model, of_class)
    for inline in inlines:
        if getattr(inline, "model", None) is None:
            continue  # admin.E105 says it
        if other := _other(house, member, inline.model):
            spot = of_attribute(house, of_class, "inlines")
            what = f"administers {inline.model._meta.label} inside {of_class.__qualname__}: {inline.__qualname__}"
            yield _finding(spot, member, other, what)
        else:
            yield from _paths(house, member, inline.model, inline)


def _paths(house: House, member: Member, model: type[Model], of_class: type[Any]) -> Iterator[Finding]:
    for option in PATHS:
        given = getattr(of_class, option, None)
        for each in [given] if isinstance(given, str) else given if isinstance(given, (list, tuple)) else ():
            path = each[0] if isinstance(each, (list, tuple)) and each else each
            if isinstance(path, str) and (found := _reached(house, member, model, path)):
                other, to = found
                spot = of_attribute(house, of_class, option)
                what = f"reaches {to._meta.label} from {of_class.__qualname__}: {option} {path!r}"
                yield _finding(spot, member, other, what)


def _reached(house: House, member: Member, model: type[Model], path: str) -> tuple[Member, type[Model]] | None:
    for part in path.lstrip("-^=@").split("__"):
        try:
            field = model._meta.get_field(part)
        except FieldDoesNotExist:
            return None
        to = field.related_model
        if to is None or isinstance(to, str) or part != field.name:  # `payment_id` is a plain value
            return None
        model = to
        if other := _other(house, member, model):
            return other, model
    return None


def _other(house: House, member: Member, model: type[Model]) -> Member | None:
    found = house.by_label.get(model._meta.app_label)
    return None if found is member else found


def _finding(spot: tuple[str, int], member: Member, other: Member, what: str) -> Finding:
    path, line = spot
    return Finding(path=path, line=line, code="boundaries.E306", module=member.name, other=other.name, what=what)
