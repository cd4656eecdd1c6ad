"""Database routers: one for projects that have none, and one for what left for good."""

import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, router
from django.db.models import Model

from extraction import project
from extraction.placement.database import Objects
from extraction.placement.retired import is_retired
from extraction.placement.where import KNOWN_FOR_S


class ModuleRouter:
    """Routes by app label, as EXTRACTION says: DATABASE_ROUTERS = ["extraction.placement.routers.ModuleRouter"].

    A module goes to its `database`. Of what is no module's the project's other routers decide, but that a database of
    modules alone gets no tables of others. A relation across is let be, for a key that is kept as a plain value may
    still be assigned by instance; the database refuses what it cannot hold.
    """

    @cached_property
    def alias_of(self) -> dict[str, str]:
        """By the label of the app, which need not be the end of its path. Needs the app registry."""
        return {label: module.alias for module in project.modules().values() for label in _labels(module.apps)}

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return self._alias(model, router.db_for_read, hints)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self._alias(model, router.db_for_write, hints)

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool | None:
        aliases = {self.alias_of.get(each._meta.app_label, DEFAULT_DB_ALIAS) for each in (one, other)}
        return True if len(aliases) > 1 else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if alias := self.alias_of.get(app_label):
            return alias == db
        return False if db != DEFAULT_DB_ALIAS and db in self.alias_of.values() else None

    def _alias(self, model: type[Model], ask: Callable[[type[Model]], str], hints: dict[str, Any]) -> str | None:
        if alias := self.alias_of.get(model._meta.app_label):
            return alias
        # Django would look for the row that a key of the module refers to in the module's own database.
        instance = hints.get("instance")
        is_of_module = instance is not None and instance._meta.app_label in self.alias_of
        return ask(model) if is_of_module else None


class RetiredRouter:
    """Makes no tables for a module that was completed: the first of DATABASE_ROUTERS, without an opinion on the rest.

    Migrations of such a module count as applied and do nothing here.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[bool, float]] = {}

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        """False for what is the module's: its apps, and all that is in a database of its own."""
        there = [module for module in project.modules().values() if module.alias == db]
        for module in there:
            is_alone = db != DEFAULT_DB_ALIAS and len(there) == 1
            if (is_alone or app_label in _labels(module.apps)) and self._is_retired(module):
                return False
        return None

    def _is_retired(self, module: project.Module) -> bool:
        known, until = self._known.get(module.name, (False, 0.0))
        if time.monotonic() < until:
            return known
        connection = connections[module.alias]
        try:
            connection.ensure_connection()
            with connection.wrap_database_errors:
                known = is_retired(connection.connection, Objects(module.name, module.schema))
        except DatabaseError:  # whoever migrates is told of it there
            return False
        self._known[module.name] = (known, time.monotonic() + KNOWN_FOR_S)
        return known


def _labels(names: Iterable[str]) -> set[str]:
    return {config.label for config in apps.get_app_configs() if config.name in set(names)}
