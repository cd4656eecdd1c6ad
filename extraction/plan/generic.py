"""Generic foreign keys of a module: the number of a content type is one database's own, its name is everybody's."""

from typing import Any

from django.db import models
from django.db.migrations import operations as ops
from django.db.migrations.operations.base import Operation
from psycopg import sql

from extraction.boundaries.keys import Key
from extraction.boundaries.places import place_of
from extraction.plan.edits import Edit, prefix, renames_in_meta, replace
from extraction.plan.migrations_of import File, file_of, indexes_renamed

LONGEST_LABEL = 201
"""Of an app and a model, 100 each, and a dot."""


def by_name(app: str, keys: list[Key]) -> tuple[File | None, list[Edit]]:
    """A column with `app_label.model` instead of the number, filled from it."""
    made: list[Operation] = []
    edits: list[Edit] = []
    for key in keys:
        model, old = key.model, str(key.field.name)
        name, new = str(model._meta.model_name), f"{key.field.name}_label"
        given: dict[str, Any] = {"null": True} if key.field.null else {}
        column: models.Field[Any, Any] = models.CharField(max_length=LONGEST_LABEL, db_index=True, **given)
        filled = column if key.field.null else models.CharField(max_length=LONGEST_LABEL, db_index=True, default="")
        gone, back = indexes_renamed(model, {old: new})
        pairs = [tuple(pair) for pair in model._meta.unique_together]
        renamed = [tuple(new if each == old else each for each in pair) for pair in pairs]
        made.append(ops.AddField(name, new, filled, preserve_default=key.field.null))
        made.append(ops.RunSQL(_fill(key, new), ops.RunSQL.noop))
        made += gone
        if pairs != renamed:
            made.append(ops.AlterUniqueTogether(name, set(renamed)))
        made.append(ops.RemoveField(name, old))
        made += back
        edits += _edits(key, new, column)
    return file_of(app, "types_by_name", made), sorted(set(edits))


def _fill(key: Key, new: str) -> str:
    names = {
        "table": key.model._meta.db_table,
        "types": key.to._meta.db_table,
        "new": new,
        "old": key.field.column,
        "id": key.to._meta.pk.column,
    }
    return (
        sql.SQL("UPDATE {table} t SET {new} = c.app_label || '.' || c.model FROM {types} c WHERE c.{id} = t.{old}")
        .format(**{name: sql.Identifier(str(value)) for name, value in names.items()})
        .as_string()
    )


def _edits(key: Key, new: str, column: "models.Field[Any, Any]") -> list[Edit]:
    found = []
    if key.place and key.place.call:
        at, null = prefix(key.place), ", null=True" if key.field.null else ""
        value = f"{at}CharField(max_length={LONGEST_LABEL}, db_index=True{null})"
        found.append(replace(key.place, value, name=new))
    pointing = [each for each in key.model._meta.private_fields if getattr(each, "ct_field", "") == key.field.name]
    found += [replace(place, "") for each in pointing if (place := place_of(key.model, each.name))]
    return [*found, *renames_in_meta(key.model, {str(key.field.name): new})]
