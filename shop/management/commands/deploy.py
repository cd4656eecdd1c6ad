"""`manage.py deploy [UNIT]`: a new release of a unit that runs, without a failed request."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from extraction.platform.errors import PlatformError
from shop.machine import Machine
from shop.rollout import roll_out


class Command(BaseCommand):
    """Works on what `manage.py up` runs."""

    help = "Replaces the processes of a unit by new ones; the old ones end when the new ones have taken over."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("unit", nargs="?", default=settings.ORIGIN_UNIT, help=f"by default {settings.ORIGIN_UNIT}")

    def handle(self, *args: Any, **options: Any) -> None:
        self.began = time.monotonic()
        try:
            machine = Machine.attached(settings.STATE_DIR, given=settings.GIVEN)
            deploy = roll_out(machine, options["unit"], tell=self._tell)
        except PlatformError as error:
            raise CommandError(str(error)) from error
        if deploy.outcome != "done":
            raise CommandError(
                f"release {deploy.release} of {deploy.unit} does not start, and the former one still serves: "
                f"{deploy.reason}\nMend that, then: manage.py deploy {deploy.unit}"
            )
        self.stdout.write(f"Deployed {deploy.unit} {deploy.release} in {deploy.seconds:.1f} s.")

    def _tell(self, sentence: str) -> None:
        self.stdout.write(f"  {time.monotonic() - self.began:5.1f} s  {sentence}")
        self.stdout.flush()
