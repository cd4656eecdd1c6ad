"""`manage.py boundaries`: every place where one module reaches into another, by every layer."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from extraction.boundaries import command
from extraction.boundaries.catalogue import offers
from extraction.boundaries.command import WRONG_USE, WrongUse
from extraction.boundaries.opening import NoHouse, house_of_project
from extraction.boundaries.run import layers_of_project


class Command(BaseCommand):
    """Exit status: 0, 1 with findings, 2 where it was asked for wrongly."""

    help = (
        "Looks for breaches of the modules' boundaries: imports, code that reaches by name, models, URLs, signals, "
        "the database, and what layers the project adds. docs/boundaries.md explains every code."
    )
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        command.add_arguments(parser)
        parser.add_argument("--no-database", action="store_true", help="Leave the database alone.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            house = house_of_project()
            layers = layers_of_project()
            if options["no_database"]:
                del layers["database"]
            with command.to_terminal():
                status = command.carry_out(
                    house, layers, options, write=self._say, typed="manage.py boundaries", offers=offers
                )
        except (NoHouse, WrongUse, ImproperlyConfigured) as error:
            raise CommandError(str(error), returncode=WRONG_USE) from error
        if status:
            sys.exit(status)

    def _say(self, line: str) -> None:
        self.stdout.write(line)
