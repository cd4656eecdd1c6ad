"""Each app to its module's database; no relation across."""

from typing import Any

from django.conf import settings
from django.db.models import Model

RUNTIME = "runtime"
"""Its tables stand in every module's schema; queries name the alias with .using()."""
NEVER_MIGRATED = "admin"
"""Django's admin log refers to a user by foreign key; modules keep their own."""


class ModuleRouter:
    """Routes by app label, from the modules of the EXTRACTION setting."""

    def __init__(self) -> None:
        self.alias_of = {
            app.rpartition(".")[2]: module["database"]
            for module in settings.EXTRACTION["modules"].values()
            for app in module["apps"]
        }
        self.aliases = frozenset(self.alias_of.values())

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return self._alias(model._meta.app_label, hints.get("instance"))

    db_for_write = db_for_read

    def allow_relation(self, one: Model, other: Model, **hints: Any) -> bool:
        return self._place(one) == self._place(other)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        if app_label == NEVER_MIGRATED:
            return False
        if app_label == RUNTIME:
            return db in self.aliases
        return bool(self.alias_of.get(app_label, "default") == db)

    def _alias(self, label: str, instance: Model | None) -> str | None:
        if label == RUNTIME:
            return instance._state.db if instance is not None else None
        return self.alias_of.get(label)

    def _place(self, instance: Model) -> str | None:
        return self._alias(instance._meta.app_label, instance) or instance._state.db
