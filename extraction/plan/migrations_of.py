"""The migrations that part a module's keys from the rest: first the constraint goes, then the key is a plain id."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import models
from django.db.migrations import Migration
from django.db.migrations import operations as ops
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.writer import MigrationWriter

from extraction.boundaries.keys import Key
from extraction.boundaries.places import shown
from extraction.plan.code import narrow
from extraction.plan.edits import Edit, behind, prefix, renames_in_meta, replace, with_arguments


@dataclass(frozen=True, slots=True)
class File:
    """To be written."""

    path: str
    text: str


def unbind(app: str, keys: list[Key]) -> tuple[File | None, list[Edit]]:
    """No constraint and no cascade; a many-to-many table gets a model of its own. None where the app has none."""
    made: list[Operation] = []
    edits: list[Edit | None] = []
    for key in keys:
        if key.is_many:
            made += _own_model(key)
            edits += _edits_of_own_model(key)
            continue
        made.append(ops.AlterField(str(key.model._meta.model_name), key.field.name, _unbound(key.field)))
        if key.place and key.place.call:
            value = with_arguments(key.place, on_delete=f"{prefix(key.place)}DO_NOTHING", db_constraint="False")
            edits.append(replace(key.place, value))
    return file_of(app, "keys_without_constraint", made), _once(edits)


def plain(app: str, keys: list[Key]) -> tuple[File | None, list[Edit]]:
    """An id in the same column: the state changes, the table does not."""
    made: list[Operation] = []
    edits: list[Edit | None] = []
    by_model: dict[type[models.Model], list[Key]] = {}
    for key in keys:
        by_model.setdefault(key.model, []).append(key)
    for model, of_model in by_model.items():
        name = str(model._meta.model_name)
        renamed = {key.field.name: key.field.attname for key in of_model if not key.is_many}
        gone, back = indexes_renamed(model, renamed)
        made += gone
        for key in of_model:
            if key.is_many:
                made.append(ops.RemoveField(name, key.field.name))
                edits.append(replace(key.place, "") if key.place else None)
                continue
            field = key.field
            made += [
                ops.AlterField(name, field.name, _plain(field, column=field.column)),
                ops.RenameField(name, field.name, field.attname),
                ops.AlterField(name, field.attname, plain_field(field)),
            ]
            if key.place and key.place.call:
                edits.append(replace(key.place, _code(plain_field(field), prefix(key.place)), name=field.attname))
        made += back
        edits += renames_in_meta(model, renamed)
        if ordering := model._meta.original_attrs.get("ordering"):
            new = [f"-{renamed[o[1:]]}" if o[:1] == "-" and o[1:] in renamed else renamed.get(o, o) for o in ordering]
            if new != list(ordering):
                made.append(ops.AlterModelOptions(name, _options(model) | {"ordering": new}))
    return file_of(app, "plain_ids", [ops.SeparateDatabaseAndState(state_operations=made)]), _once(edits)


def plain_field(field: Any) -> "models.Field[Any, Any]":
    """What holds the same value without being a key."""
    return _plain(field, column="" if field.column == field.attname else field.column)


def _plain(field: Any, *, column: str) -> "models.Field[Any, Any]":
    target = field.target_field
    while target.remote_field:
        target = target.target_field
    kept: dict[str, Any] = {name: True for name in ("null", "blank", "primary_key") if getattr(field, name)}
    if field.unique and not field.primary_key:
        kept["unique"] = True
    elif field.db_index and not field.primary_key:
        kept["db_index"] = True
    if field.has_default():
        kept["default"] = field.default
    if column:
        kept["db_column"] = column
    for own, plain_one in _NUMBERS.items():
        if isinstance(target, own):
            return plain_one(**kept)
    if target.max_length is not None:
        kept["max_length"] = target.max_length
    return type(target)(**kept)  # type: ignore[no-any-return]


_NUMBERS: "dict[type[models.Field[Any, Any]], type[models.Field[Any, Any]]]" = {
    models.BigAutoField: models.BigIntegerField,
    models.SmallAutoField: models.SmallIntegerField,
    models.AutoField: models.IntegerField,
}


def _unbound(field: Any) -> Any:
    new = field.clone()
    new.db_constraint = False
    new.remote_field.on_delete = models.DO_NOTHING
    return new


def _own_model(key: Key) -> Iterator[Operation]:
    through = key.field.remote_field.through
    near, far = _ends(key)
    fields = [
        (field.name, models.ForeignKey(_to(field), models.CASCADE, related_name="+") if field.remote_field else field)
        for field in through._meta.local_fields
    ]
    options = {"db_table": through._meta.db_table, "unique_together": {(near.name, far.name)}}
    many = key.field.clone()
    many.remote_field.through = f"{through._meta.app_label}.{through.__name__}"
    yield ops.SeparateDatabaseAndState(
        state_operations=[
            ops.CreateModel(through.__name__, fields, options),
            ops.AlterField(str(key.model._meta.model_name), key.field.name, many),
        ]
    )
    unbound = models.ForeignKey(_to(far), models.DO_NOTHING, related_name="+", db_constraint=False)
    yield ops.AlterField(str(through._meta.model_name), far.name, unbound)


def _edits_of_own_model(key: Key) -> Iterator[Edit | None]:
    through, place = key.field.remote_field.through, key.place
    if place is None or place.call is None:
        return
    yield replace(place, with_arguments(place, through=repr(through.__name__)))
    near, far = _ends(key)
    at = prefix(place)
    lines = [f"class {through.__name__}({at}Model):"]
    lines.append(f"    {near.name} = {at}ForeignKey({_to(near)!r}, {at}CASCADE, related_name='+')")
    unbound = f"{at}DO_NOTHING, db_constraint=False"
    lines.append(f"    {far.name} = {at}ForeignKey({_to(far)!r}, {unbound}, related_name='+')")
    lines += ["", "    class Meta:", f"        db_table = {through._meta.db_table!r}"]
    lines.append(f"        unique_together = [({near.name!r}, {far.name!r})]")
    yield behind(key.model, "\n\n" + "\n".join(lines))


def _ends(key: Key) -> tuple[Any, Any]:
    """The fields of the table between: to the model that says it, and to the other."""
    meta = key.field.remote_field.through._meta
    return meta.get_field(key.field.m2m_field_name()), meta.get_field(key.field.m2m_reverse_field_name())


def _to(field: Any) -> str:
    return str(field.remote_field.model._meta.label)


def indexes_renamed(model: type[models.Model], renamed: dict[str, str]) -> tuple[list[Operation], list[Operation]]:
    """Constraints and indexes of Meta that name the fields: to be taken away, and to be put back."""
    gone: list[Operation] = []
    back: list[Operation] = []
    name = str(model._meta.model_name)
    for constraint in model._meta.constraints:
        if set(getattr(constraint, "fields", ())) & renamed.keys():
            _, args, given = constraint.deconstruct()
            given["fields"] = tuple(renamed.get(field, field) for field in given["fields"])
            gone.append(ops.RemoveConstraint(name, constraint.name))
            back.append(ops.AddConstraint(name, type(constraint)(*args, **given)))
    for index in model._meta.indexes:
        if {field.lstrip("-") for field in index.fields} & renamed.keys():
            _, args, given = index.deconstruct()
            given["fields"] = [re.sub(r"\w+", lambda m: renamed.get(m[0], m[0]), field) for field in index.fields]
            gone.append(ops.RemoveIndex(name, index.name))
            back.append(ops.AddIndex(name, type(index)(*args, **given)))
    return gone, back


def _options(model: type[models.Model]) -> dict[str, Any]:
    known = ops.AlterModelOptions.ALTER_OPTION_KEYS
    return {name: value for name, value in model._meta.original_attrs.items() if name in known}


def _code(field: "models.Field[Any, Any]", at: str) -> str:
    text, _ = MigrationWriter.serialize(field)
    return text.replace("models.", at, 1)


def file_of(app: str, name: str, made: list[Operation]) -> File | None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    leaves = loader.graph.leaf_nodes(app)
    if not leaves:
        return None
    last = leaves[0][1]
    number = int(found[0]) + 1 if (found := re.match(r"\d+", last)) else 2
    new = type("Migration", (Migration,), {"operations": made, "dependencies": [(app, last)]})
    writer = MigrationWriter(new(f"{number:04}_{name}", app), include_header=False)
    return File(shown(Path(writer.path)), narrow(writer.as_string()))


def _once(edits: list[Edit | None]) -> list[Edit]:
    return sorted({edit for edit in edits if edit is not None})
