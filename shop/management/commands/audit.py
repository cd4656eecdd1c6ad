import json
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from contracts.runtime import ContractError
from shop.audit import AuditReport, audit


class Command(BaseCommand):
    help = (
        "Checks that stock, orders and payments agree, also while customers buy and wherever each module lives. What "
        "differs is asked again, since it may be on its way. Ends with status 1 when an invariant does not hold."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
        parser.add_argument(
            "--wait",
            type=float,
            default=30.0,
            metavar="SECONDS",
            help="how long a difference is taken for work in flight (default: 30)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["wait"] < 0:
            raise CommandError("--wait takes seconds, 0 or more")
        try:
            report = audit(wait_s=options["wait"])
        except (ContractError, OperationalError) as error:
            raise CommandError(
                f"{error}. Nothing can be said while a module does not answer; start it (manage.py up), then run "
                "manage.py audit again."
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(msgspec.to_builtins(report)))
        else:
            self._print(report)
        if not report.passed:
            raise CommandError(
                "The books do not agree. An event that was given up is shown by manage.py events list and tried "
                "again by manage.py events replay."
            )

    def _print(self, report: AuditReport) -> None:
        for name, holds in report.invariants.items():
            self.stdout.write(f"{name}… {self.style.SUCCESS('OK') if holds else self.style.ERROR('BROKEN')}")
        for difference in report.differences:
            self.stdout.write(f"  {difference}")
        for module, unit in report.events_elsewhere.items():
            self.stdout.write(
                f"  not looked at: events of {module} that were given up. It lives in {unit}; run manage.py audit there"
            )
        self.stdout.write(f"{report.orders} orders, {report.waited_s:g} s")
