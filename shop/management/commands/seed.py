from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from contracts.runtime.configuration import configuration


class Command(BaseCommand):
    help = "Plant the demo's products and accounts; what is there already stays as it is."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--products", type=int, default=1000)
        parser.add_argument("--customers", type=int, default=200)
        parser.add_argument(
            "--noinput",
            "--no-input",
            "--force",
            action="store_false",
            dest="interactive",
            help="Plant demo accounts also where real users are.",
        )

    def handle(self, *args: Any, interactive: bool, verbosity: int, **options: Any) -> None:
        amounts = {name: options[name] for name in ("products", "customers")}
        if negative := [f"--{name}" for name, amount in amounts.items() if not 0 <= amount <= 1_000_000]:
            raise CommandError(f"{' and '.join(negative)} must be between 0 and 1,000,000")
        seeds = {
            module: import_module(name) for module in settings.MODULES if find_spec(name := f"modules.{module}.seed")
        }
        if interactive:
            self._refuse(seeds, amounts)
        for module, seed in seeds.items():
            # Where it moved to it was planted before, and its tables may be gone from here.
            done = seed.seed(amounts=amounts) if configuration.at_home(module) else "lives in another unit, as it is"
            if verbosity:
                self.stdout.write(f"{module}: {done}")

    def _refuse(self, seeds: dict[str, ModuleType], amounts: dict[str, int]) -> None:
        for module, seed in seeds.items():
            if (
                hasattr(seed, "objection")
                and configuration.at_home(module)
                and (why := seed.objection(amounts=amounts))
            ):
                raise CommandError(f"{module}: {why}. Nothing was planted. If that is meant: manage.py seed --noinput")
