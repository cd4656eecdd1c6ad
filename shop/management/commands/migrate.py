"""Django's migrate, for every database of this unit."""

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.migrate import Command as Migrate
from django.db import connections, router


class Command(Migrate):
    """Without --database every one, each with the apps that the router sends there."""

    help = "Updates the schemas of all databases of this unit, or of one."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(database=None)

    def get_check_kwargs(self, options: dict[str, Any]) -> Any:
        return super().get_check_kwargs(options) | {"databases": self._aliases(options)}

    def handle(self, *args: Any, **options: Any) -> None:
        self.shown = options["verbosity"]
        label = options["app_label"]
        if label and label not in apps.app_configs:
            raise CommandError(f"No installed app with label '{label}'.")
        for alias in self._aliases(options):
            if label and not router.allow_migrate(alias, label):
                continue
            self.alias = alias
            self.applied = 0
            if self.shown:
                self.stdout.write(self.style.MIGRATE_HEADING(f"Database {alias}:"))
            # Django's own lines name every app in every database; the ones that are true are written here.
            quiet = options | {"database": alias, "verbosity": 0 if self.shown == 1 else self.shown}
            super().handle(*args, **quiet)
            if self.shown == 1 and not self.applied and not (options["plan"] or options["check_unapplied"]):
                self.stdout.write("  No migrations to apply.")

    def migration_progress_callback(self, action: str, migration: Any | None = None, fake: bool = False) -> None:
        if migration is not None and not router.allow_migrate(self.alias, migration.app_label):
            return
        self.applied += action in ("apply_success", "unapply_success")
        self.verbosity = self.shown
        super().migration_progress_callback(action, migration, fake)

    def _aliases(self, options: dict[str, Any]) -> list[str]:
        return [options["database"]] if options["database"] else list(connections)
