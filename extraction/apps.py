from typing import Any

from django.apps import AppConfig
from django.db import connections
from django.db.models.signals import post_migrate


class ExtractionConfig(AppConfig):
    name = "extraction"

    def ready(self) -> None:
        from extraction.placement import watch

        watch.install()
        post_migrate.connect(_place_modules, sender=self, dispatch_uid="extraction.placement")


def _place_modules(using: str, **_: Any) -> None:
    """Give each module of this database its placement row, unless it has one."""
    from extraction.placement.database import Objects
    from extraction.project import modules, unit

    for module in modules().values():
        if module.alias == using:
            with connections[using].cursor() as cursor:
                Objects(module.name, module.schema).install(cursor, unit=unit(), home=module.home)
