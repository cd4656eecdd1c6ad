from typing import Any

from django.apps import AppConfig, apps
from django.core.management.base import CommandError
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate


class ExtractionConfig(AppConfig):
    name = "extraction"

    def ready(self) -> None:
        from extraction.boundaries import system
        from extraction.placement import watch

        system.register()
        watch.install()
        pre_migrate.connect(_refuse_while_on_its_way, sender=self, dispatch_uid="extraction.on_its_way")
        post_migrate.connect(_place_modules, sender=self, dispatch_uid="extraction.placement")


def _refuse_while_on_its_way(using: str, plan: list[tuple[Any, bool]], **_: Any) -> None:
    """Before anything is applied: tables that two databases have to have alike are not changed in one of them."""
    from extraction.placement.database import DDL_SETTING, Objects
    from extraction.project import modules

    if connections[using].vendor != "postgresql":
        return
    labels = {migration.app_label for migration, _ in plan}
    changed = {config.name for config in apps.get_app_configs() if config.label in labels}
    for module in modules().values():
        if module.alias != using or not changed & set(module.apps):
            continue  # what else is in its schema the server refuses to change
        with connections[using].cursor() as cursor:
            found = Objects(module.name, module.schema).under_way(cursor)
        if found and not found[1]:
            raise CommandError(
                f"{module.name} is on its way to another unit, and its tables have to stay alike on both sides. "
                f"Migrate when it is over: manage.py extract status {module.name}. If that cannot wait, migrate both "
                "units, first the one that is not home where something is added, first the home where it is taken "
                f"away, each with PGOPTIONS='-c {DDL_SETTING}={found[0]}', then run: "
                f"manage.py extract replicate {module.name}"
            )


def _place_modules(using: str, **_: Any) -> None:
    """Give each module of this database its placement row, unless it has one. Nothing leaves what is no PostgreSQL."""
    from extraction.placement.database import Objects
    from extraction.project import modules, unit

    if connections[using].vendor != "postgresql":
        return
    for module in modules().values():
        if module.alias == using:
            with connections[using].cursor() as cursor:
                Objects(module.name, module.schema).install(cursor, unit=unit(), home=module.home)
