"""`manage.py units`: the edge and the units of EXTRACTION["units"] on this machine, until Ctrl-C."""

import signal
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError

from extraction.platform.errors import PlatformError
from extraction.units.machine import Machine


class Command(BaseCommand):
    """Everything that it starts ends with it."""

    help = "Runs the edge and those units that have a command, in the foreground, until Ctrl-C."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            Machine().run(self._say)
        except KeyboardInterrupt:
            self._say("Stopped.")
        except (PlatformError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
