import math
import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from extraction.platform.errors import PlatformError

QUIET_MINUTES = 0.6
"""So the whole stays under five minutes on two cores."""
INSTALL = "install the extras local and report: uv sync --all-extras"

if TYPE_CHECKING:
    from shop.platform import Shop
    from shop.tour.conductor import Tour
    from shop.tour.report import Report


class Command(BaseCommand):
    help = (
        "Start a shop from nothing, let simulated customers buy, take a module out into its own service meanwhile, put "
        "it back and out again, and prove that nothing failed, was lost or doubled. Takes about four minutes. "
        "Writes var/report/. Exit status 0 when all is well, 1 when not, 130 after Ctrl-C."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--module", default="inventory", metavar="MODULE", help="that is taken out (default inventory)"
        )
        parser.add_argument(
            "--explain", action="store_true", help="say before each stage what comes and why, and wait for Enter"
        )
        parser.add_argument(
            "--minutes",
            type=float,
            default=QUIET_MINUTES,
            help=f"of load and nothing else, before and after the cutover in all (default {QUIET_MINUTES})",
        )
        parser.add_argument("--deploys", type=int, default=3, help="before the cutover, and again after (default 3)")
        parser.add_argument("--rate", type=float, default=20.0, help="requests a second (default 20)")
        parser.add_argument("--seed", type=int, help="of the customers' choices (default: a new one, in the report)")
        parser.add_argument("--port", type=int, default=0, help="of the shop (default: a free one)")
        parser.add_argument("--keep", action="store_true", help="leave the shop running until Ctrl-C")
        parser.add_argument("--plain", action="store_true", help="plain lines instead of a live picture")

    def handle(
        self,
        *args: Any,
        module: str,
        explain: bool,
        minutes: float,
        deploys: int,
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
        if not 0 <= deploys <= 100:
            raise CommandError(f"--deploys {deploys}: give a number from 0 to 100")
        if module not in settings.ALL_MODULES:
            raise CommandError(f"--module {module}: there is no such module; take {' or '.join(settings.ALL_MODULES)}")
        if explain and not (sys.stdin.isatty() and self.stdout.isatty()):
            raise CommandError("--explain waits for Enter and needs a terminal; run it in one, or leave it out")
        if not 0 <= port <= 65535:
            raise CommandError(f"--port {port} is no port; leave it out and a free one is taken")
        try:
            from rich.console import Console

            from shop.tour.conductor import Tour
            from shop.tour.display import Display, GuidedDisplay, LiveDisplay, PlainDisplay
            from shop.tour.stages import stages_of
        except ModuleNotFoundError as error:
            raise CommandError(f"the tour needs {error.name}; {INSTALL}") from error
        if not find_spec("matplotlib"):  # which is imported at the end, for it takes a second
            raise CommandError(f"the tour needs matplotlib; {INSTALL}")
        display: Display
        if explain:
            display = GuidedDisplay(self.stdout, sys.stdin.readline)
        elif self.stdout.isatty() and not plain:
            display = LiveDisplay(Console(), stages_of(module, deploys=deploys).values())
        else:
            display = PlainDisplay(self.stdout)
        with ExitStack() as stack:
            try:
                tour = Tour(
                    state=settings.STATE_DIR / "tour",
                    port=port,
                    display=display,
                    report_dir=settings.STATE_DIR / "report",
                    module=module,
                    quiet_s=60 * minutes,
                    deploys=deploys,
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
            + f"failed, {report.ambiguous} ambiguous{f', p95 {latency.p95_ms:.0f} ms' if latency else ''}",
        ]
        if ledger.acknowledged is not None:
            lines.append(
                f"  {ledger.orders} orders ({report.orders_per_second:g}/s), {ledger.receipts} receipts of goods and "
                f"{ledger.accounts} new accounts acknowledged, {ledger.lost} lost, {ledger.doubled} doubled; "
                f"{report.orders.confirmed} orders confirmed, {report.orders.cancelled} cancelled"
            )
        lines += [f"  {line}" for line in _moves(report)]
        lines += [f"  invariant {name}: {'holds' if held else 'BROKEN'}" for name, held in report.invariants.items()]
        lines += [f"  {line}" for line in report.differences[:10]]
        lines += [f"  problem: {times} x {problem}" for problem, times in list(requests.problems.items())[:5]]
        if report.verdict == "failed":
            lines += [f"  failed because: {reason}" for reason in report.reasons]
            lines.append(f"  logs of the shop: {tour.state}/log/, of the commands: {tour.report_dir}/commands.log")
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


def _moves(report: "Report") -> Iterator[str]:
    """A line for each thing that was measured of the migration."""
    for name, switch in (
        ("cutover", report.cutover),
        ("rollback", report.rollback),
        ("second cutover", report.second_cutover),
    ):
        if switch is not None:
            slowest = switch.slowest_overlapping_request_ms
            yield (
                f"{name}: {report.module} from {switch.from_unit} to {switch.to_unit}, "
                f"{switch.lock_to_open_ms:.1f} ms from lock to open"
                + (
                    f", slowest request meanwhile {slowest:.0f} ms ({switch.slowest_overlapping_step})"
                    if slowest is not None
                    else ""
                )
            )
    phases = {phase: report.latency[phase] for phase in ("before", "during", "after") if phase in report.latency}
    if phases:
        yield "p95 " + ", ".join(f"{phase} {latency.p95_ms:.0f} ms" for phase, latency in phases.items())
    for phase, deploys in (("before", report.deploys.before), ("after", report.deploys.after)):
        if deploys.count:
            yield (
                f"deploys {phase}: {deploys.count} of {deploys.unit}, median {deploys.median_seconds:g} s, "
                f"{deploys.modules_restarted} module(s) restarted, {deploys.failed_requests} requests failed"
            )
    before, after = report.memory_mb.before.total, report.memory_mb.after.total
    if before and after:
        yield f"memory before {before:.0f} MB, after {after:.0f} MB"
