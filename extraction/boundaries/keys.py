"""Keys of Django's models between the module and the rest, in both directions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import AppConfig, apps
from django.db import models

from extraction.boundaries.places import Place, is_ours, place_of
from extraction.project import Module


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key, one-to-one or many-to-many field whose other end lies on the other side."""

    field: Any
    is_outgoing: bool
    """The module's own; else it is another app's, and points at the module."""
    place: Place | None

    @property
    def model(self) -> type[models.Model]:
        return self.field.model  # type: ignore[no-any-return]

    @property
    def to(self) -> type[models.Model]:
        return self.field.remote_field.model  # type: ignore[no-any-return]

    @property
    def is_many(self) -> bool:
        return bool(self.field.many_to_many)

    @property
    def is_parent(self) -> bool:
        """Multi-table inheritance."""
        return not self.is_many and bool(self.field.remote_field.parent_link)

    @property
    def is_bound(self) -> bool:
        """Whether Django lets PostgreSQL check it, or acts on it itself when the other row goes."""
        if self.is_many:
            return bool(self.field.remote_field.through._meta.auto_created)
        return bool(self.field.db_constraint) or self.field.remote_field.on_delete is not models.DO_NOTHING

    @property
    def is_cascade(self) -> bool:
        """Whether deleting on one side writes on the other."""
        if self.is_many:
            return self.is_bound
        return self.field.remote_field.on_delete not in (models.DO_NOTHING, models.PROTECT, models.RESTRICT)

    @property
    def is_generic(self) -> bool:
        """Part of a GenericForeignKey."""
        fields = self.model._meta.private_fields
        return any(getattr(each, "ct_field", "") == self.field.name for each in fields)

    @property
    def is_ours(self) -> bool:
        """Whether the project writes this model's migrations."""
        return is_ours(self.model)

    @property
    def name(self) -> str:
        return f"{self.model._meta.label}.{self.field.name}"

    def __str__(self) -> str:
        return f"{self.name} → {self.to._meta.label}"


def keys_of(module: Module) -> list[Key]:
    """In the order of apps, models and fields. Needs the app registry."""
    mine = {config.label for config in configs_of(module)}
    return [
        Key(field, model._meta.app_label in mine, place_of(model, field.name))
        for model in apps.get_models()
        if model._meta.managed and not model._meta.proxy
        for field in _relations(model)
        if (model._meta.app_label in mine) != (_label(field) in mine)
    ]


def configs_of(module: Module) -> list[AppConfig]:
    """The module's apps that are installed here."""
    return [config for config in apps.get_app_configs() if config.name in module.apps]


def models_of(module: Module) -> list[type[models.Model]]:
    """Those that migrations make."""
    return [
        model
        for config in configs_of(module)
        for model in config.get_models(include_auto_created=True)
        if model._meta.managed and not model._meta.proxy
    ]


def by_app(keys: Iterable[Key]) -> Iterator[tuple[str, list[Key]]]:
    """The keys by the app whose migrations hold them, the module's own first."""
    found: dict[str, list[Key]] = {}
    for key in sorted(keys, key=lambda key: not key.is_outgoing):
        found.setdefault(key.model._meta.app_label, []).append(key)
    yield from found.items()


def _relations(model: type[models.Model]) -> Iterator[Any]:
    for field in (*model._meta.local_fields, *model._meta.local_many_to_many):
        if field.remote_field and isinstance(field.remote_field.model, type):
            yield field


def _label(field: Any) -> str:
    return str(field.remote_field.model._meta.app_label)
