import math
import secrets
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from extraction.platform.errors import PlatformError

INSTALL = "install the extras local and report: uv sync --all-extras"

if TYPE_CHECKING:
    from shop.platform import Shop
    from shop.tour.conductor import Tour
    from shop.tour.report import Report


class Command(BaseCommand):
    help = (
        "Start a shop from nothing, let simulated customers buy, and prove that nothing failed, was lost or doubled. "
        "Writes var/report/. Exit status 0 when all is well, 1 when not, 130 after Ctrl-C."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--minutes", type=float, default=1.0, help="of load (default 1)")
        parser.add_argument("--rate", type=float, default=50.0, help="requests a second (default 50)")
        parser.add_argument("--seed", type=int, help="of the customers' choices (default: a new one, in the report)")
        parser.add_argument("--port", type=int, default=0, help="of the shop (default: a free one)")
        parser.add_argument("--keep", action="store_true", help="leave the shop running until Ctrl-C")
        parser.add_argument("--plain", action="store_true", help="plain lines instead of a live picture")

    def handle(
        self,
        *args: Any,
        minutes: float,
        rate: float,
        seed: int | None,
        port: int,
        keep: bool,
        plain: bool,
        **options: Any,
    ) -> None:
        for flag, value, most in (("--minutes", minutes, 1440), ("--rate", rate, 2000)):
            if not (math.isfinite(value) and 0 < value <= most):
                raise CommandError(f"{flag} {value:g}: give a number above 0, at most {most}")
        if not 0 <= port <= 65535:
            raise CommandError(f"--port {port} is no port; leave it out and a free one is taken")
        try:
            from rich.console import Console

            from shop.tour.conductor import STAGES, Tour
            from shop.tour.display import Display, LiveDisplay, PlainDisplay
        except ModuleNotFoundError as error:
            raise CommandError(f"the tour needs {error.name}; {INSTALL}") from error
        if not find_spec("matplotlib"):  # which is imported at the end, for it takes a second
            raise CommandError(f"the tour needs matplotlib; {INSTALL}")
        is_live = self.stdout.isatty() and not plain
        display: Display = LiveDisplay(Console(), STAGES) if is_live else PlainDisplay(self.stdout)
        with ExitStack() as stack:
            try:
                tour = Tour(
                    state=settings.STATE_DIR / "tour",
                    port=port,
                    display=display,
                    report_dir=settings.STATE_DIR / "report",
                    seconds=60 * minutes,
                    rate=rate,
                    seed=secrets.randbelow(1_000_000) if seed is None else seed,
                )
                with display:
                    report = tour.run(stack)
                self._tell(report, tour)
                if keep and not report.interrupted:
                    self._keep(tour.shop)
            except PlatformError as error:
                raise CommandError(str(error)) from error
        sys.exit(report.exit_status)

    def _tell(self, report: "Report", tour: "Tour") -> None:
        requests, ledger, latency = report.requests, report.ledger, report.latency.get("all")
        lines = [
            "",
            f"{report.verdict.capitalize()}: {requests.total} requests at {requests.rate_per_s:g}/s, {requests.failed} "
            + f"failed{f', p95 {latency.p95_ms:.0f} ms' if latency else ''}",
        ]
        if ledger.acknowledged is not None:
            lines.append(
                f"  {ledger.acknowledged} orders acknowledged ({report.orders_per_second:g}/s), {ledger.lost} lost, "
                f"{ledger.doubled} doubled; {report.orders.confirmed} confirmed, {report.orders.cancelled} cancelled"
            )
        lines += [f"  invariant {name}: {'holds' if held else 'BROKEN'}" for name, held in report.invariants.items()]
        lines += [f"  {line}" for line in report.differences[:10]]
        lines += [f"  problem: {times} x {problem}" for problem, times in list(report.requests.problems.items())[:5]]
        if report.verdict == "failed":
            lines += [f"  failed because: {reason}" for reason in report.reasons]
            lines.append(f"  logs of the shop: {tour.state}/log/")
        lines.append(f"  {report.duration_s:g} s in all; report: {tour.page}")
        for line in lines:
            self.stdout.write(line)

    def _keep(self, shop: "Shop") -> None:
        """Leave the shop running until Ctrl-C."""
        self.stdout.write("\nThe shop stays until Ctrl-C:")
        for name, url in (("Shop", "/"), ("API", "/api/"), ("Admin", "/admin/")):
            self.stdout.write(f"  {name:6} {shop.url}{url}")
        self.stdout.write("  Sign in as customer-001@shop.example or admin@shop.example, password demo.")
        self.stdout.flush()
        try:
            for sentence in shop.watch():
                self.stdout.write(sentence)
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")
