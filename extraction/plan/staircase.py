"""The steps from one alias, one schema and foreign keys everywhere to a module that can leave: only what is needed."""

from collections.abc import Iterator

from extraction.boundaries.keys import Key, by_app, keys_of
from extraction.boundaries.receivers import receivers_across
from extraction.plan import database_steps, generic, migrations_of
from extraction.plan.errors import Unknown
from extraction.plan.source import Source
from extraction.plan.steps import Do, Step
from extraction.project import Module

WAITING = "PGOPTIONS='-c lock_timeout=2s'"
"""Before migrate: who changes a table queues before its writers, so it gives up and is typed again."""
_ONE_TRANSACTION = (
    "The migration is one transaction: the table is closed while all of its rows are rewritten, and code that runs "
    "already fails on the missing column until it was started anew. Where the table is large split it in three: the "
    "column, with null=True; its values, in batches (atomic = False); after a restart with the new models the rest."
)


def staircase_of(module: Module, source: Source | None, *, skipped: list[str]) -> list[Step]:
    """What `extract` requires first, what may come after it behind; `skipped` gets what nobody could look at."""
    keys = keys_of(module)
    steps = [*_unbinding(module, keys), *_generic(module, keys), *_by_hand(module, keys), *_receivers(module)]
    if source is None:
        skipped.append("constraints, views, roles and schema: the database did not answer")
    else:
        try:
            steps += database_steps.before(source, keys)
        except Unknown as error:
            skipped.append(f"constraints and views: {error}")
    steps += _plain_ids(module, keys)
    steps += database_steps.alias(module)
    if source is not None:
        try:
            steps += database_steps.after(source)
        except Unknown as error:
            skipped.append(f"role and schema: {error}")
    return sorted(steps, key=lambda step: not step.is_required)


def _unbinding(module: Module, keys: list[Key]) -> Iterator[Step]:
    bound = [key for key in keys if key.is_bound and _is_plainly_ours(key)]
    for app, of_app in by_app(bound):
        file, edits = migrations_of.unbind(app, of_app)
        yield Step(
            code="unbind",
            title=f"Keys of {app} without constraint and cascade",
            is_required=True,
            why=tuple(_why(key, module) for key in of_app),
            edits=tuple(edits),
            files=(file,) if file else (),
            does=(_migrate(app, file, module if of_app[0].is_outgoing else None),),
            done="manage.py makemigrations --check finds nothing, and plan names this step no more",
        )


def _generic(module: Module, keys: list[Key]) -> Iterator[Step]:
    for app, of_app in by_app([key for key in keys if key.is_generic and key.is_ours]):
        file, edits = generic.by_name(app, of_app)
        yield Step(
            code="generic",
            title=f"Generic keys of {app} by name",
            is_required=True,
            why=(
                *(
                    f"{f'{key.place}: ' if key.place else ''}{key.name}: numbers of content types are one database's "
                    "own; in another the same number is another model. Whoever followed the generic key asks by name "
                    "and id."
                    for key in of_app
                ),
                _ONE_TRANSACTION,
            ),
            edits=tuple(edits),
            files=(file,) if file else (),
            does=(_migrate(app, file, module if of_app[0].is_outgoing else None),),
            done="manage.py makemigrations --check finds nothing, and plan names this step no more",
        )


def _is_plainly_ours(key: Key) -> bool:
    return key.is_ours and not key.is_parent and not key.is_generic


def _plain_ids(module: Module, keys: list[Key]) -> Iterator[Step]:
    """Of the keys that nothing binds any more; before that, another migration would have to follow the first."""
    free = [key for key in keys if _is_plainly_ours(key) and not key.is_bound]
    waiting = [key for key in keys if _is_plainly_ours(key) and key.is_bound]
    for app, of_app in by_app(free):
        file, edits = migrations_of.plain(app, of_app)
        yield Step(
            code="plain_id",
            title=f"Plain ids in {app}",
            is_required=False,
            why=(
                "; ".join(map(str, of_app)) + ": a query that joins, or follows the field, meets a table that is not "
                "there once the module has left; until then it works. Code that says "
                + ", ".join(sorted({f".{key.field.name}" for key in of_app}))
                + " asks the other side by id instead.",
            ),
            edits=tuple(edits),
            files=(file,) if file else (),
            does=(_migrate(app, file, module if of_app[0].is_outgoing else None),),
            done="manage.py makemigrations --check finds nothing, and plan names this step no more",
        )
    if waiting:
        yield Step(
            code="plain_id_later",
            title="Plain ids",
            is_required=False,
            why=(
                "Once the constraints are gone plan prints the migrations that make these keys plain ids in the same "
                f"columns: {', '.join(map(_later, waiting))}.",
            ),
            does=(Do("shell", (f"manage.py extract plan {module.name}",)),),
            done="plan prints the migration",
        )


def _by_hand(module: Module, keys: list[Key]) -> Iterator[Step]:
    for key in keys:
        if key.is_parent:
            yield Step(
                code="inheritance",
                title=f"{key.model._meta.label} is no longer a child of {key.to._meta.label}",
                is_required=True,
                why=(f"{key} is multi-table inheritance: every query of the child joins the parent's table.",),
                done="the model has a primary key of its own; plan names this step no more",
            )
        elif not key.is_ours and key.is_bound:
            yield Step(
                code="foreign_app",
                title=f"{key.name}, which a package holds",
                is_required=True,
                why=(
                    f"{key}: the migrations of {key.model._meta.app_label} are not this project's. Replace the package "
                    f"or the model it points at ({key.to._meta.label}); a constraint alone is dropped below.",
                ),
                done="the package is out of INSTALLED_APPS, or points at a model on its own side",
            )


def _receivers(module: Module) -> Iterator[Step]:
    if found := receivers_across(module):
        yield Step(
            code="receiver",
            title="Signals across",
            is_required=True,
            why=tuple(
                f"{one.place}: {one.receiver} hears {one.signal} of {one.sender}; it hears nothing of rows that "
                "another unit writes. Publish an event where the row is written, and hear that."
                for one in found
            ),
            done="plan names no receiver any more",
        )


def _why(key: Key, module: Module) -> str:
    at = f"{key.place}: " if key.place else ""
    if key.is_many:
        return (
            f"{at}{key} (many to many): its table {key.field.remote_field.through._meta.db_table} has a constraint "
            "across; it becomes a model, whose far end is an id."
        )
    if key.is_cascade:
        mine, other = key.model._meta.label, key.to._meta.label
        act = key.field.remote_field.on_delete.__name__
        return (
            f"{at}{key} ({act}): when a row of {other} goes, rows of {mine} are changed in the same transaction; they "
            "will be in another database. Let the delete publish an event, or call, that does the same."
        )
    return f"{at}{key}: the other table will be in another database; check that the row exists by a call."


def _later(key: Key) -> str:
    if key.is_many:
        return f"{key.name} (goes; its table stays)"
    kind = type(migrations_of.plain_field(key.field)).__name__
    return f"{key.model._meta.label}.{key.field.attname} ({kind})"


def _migrate(app: str, file: migrations_of.File | None, module: Module | None) -> Do:
    database = f" --database {module.alias}" if module and module.alias != "default" else ""
    first = () if file else (f"manage.py makemigrations {app}",)
    return Do("shell", (*first, f"{WAITING} manage.py migrate {app}{database}"))
