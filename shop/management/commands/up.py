"""`manage.py up`: the shop on this machine, in the foreground, until Ctrl-C."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from extraction.platform.errors import PlatformError
from shop.platform import Shop


class Command(BaseCommand):
    """Migrates, seeds and serves; everything ends with it."""

    help = "Starts PostgreSQL, web server and worker, migrates, seeds and serves until Ctrl-C."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
        parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: 127.0.0.1)")
        parser.add_argument("--workers", type=int, default=2, help="web processes of 8 threads each (default: 2)")
        parser.add_argument("--debug", action="store_true", help="DEBUG and the debug toolbar")
        parser.add_argument("--no-seed", action="store_true", help="no demo accounts, products and stock")
        parser.add_argument("--plain", action="store_true", help="plain lines, no colours or moving parts")

    def handle(self, *args: Any, **options: Any) -> None:
        self.console = Console(
            file=cast(IO[str], self.stdout._out),
            highlight=False,
            force_terminal=False if options["plain"] else None,
            no_color=options["no_color"] or options["plain"],
        )
        try:
            with Shop(
                settings.STATE_DIR,
                port=options["port"],
                host=options["host"],
                workers=options["workers"],
                debug=options["debug"],
                seed=not options["no_seed"],
                step=self._step,
            ) as shop:
                self._welcome(shop, seeded=not options["no_seed"])
                for sentence in shop.watch():
                    self._say(sentence)
        except KeyboardInterrupt:
            self._say("Stopped.")
        except PlatformError as error:
            raise CommandError(str(error)) from error

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        start = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(f"{name}…"):
                yield
        else:
            yield
        self._say(f"  {name}… OK ({time.monotonic() - start:.1f} s)")

    def _welcome(self, shop: Shop, *, seeded: bool) -> None:
        for warning in shop.warnings:
            self._say(f"Warning: {warning}")
        rows = [("Shop", f"{shop.url}/"), ("API", f"{shop.url}/api/"), ("Admin", f"{shop.url}/admin/")]
        if seeded:
            rows.append(("Sign in", "customer-001@shop.example, staff@shop.example, admin@shop.example; password demo"))
        rows.append(("Logs", f"{shop.state}/log/"))
        self._say(f"Answering after {seconds_since_start():.1f} s. Ctrl-C stops everything.")
        for name, value in rows:
            self._say(f"  {name:8} {value}")

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)
        self.console.file.flush()


def seconds_since_start() -> float:
    """How long this process has run, its own imports included."""
    import psutil

    return time.time() - float(psutil.Process().create_time())
