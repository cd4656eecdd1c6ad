"""Modules leave a whole shop one after another while customers buy, live outside all at once, and come back.

    uv run python -m tests.benchmarks.all_out
    uv run python -m tests.benchmarks.all_out --order payments,users --rate 20 --hold-s 1

A shop of its own in a temporary directory, behind its edge, with embedded servers. Customers register, sign in and buy,
and staff receive goods. Exit status 1 when a request failed, when an order, a receipt or an account was lost or
doubled, and when an invariant does not hold.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import django
import httpx2
import msgspec

if TYPE_CHECKING:
    from shop.platform import Shop
    from shop.tour.ledger import Comparison
    from shop.tour.loading import Loading
    from shop.tour.moves import SwitchFigures

READS = {
    "inventory": "/api/inventory/",
    "orders": "/api/orders/",
    "payments": f"/api/payments/{UUID(int=0)}/",
    "users": "/api/users/me/",
}
READ_EVERY_S = 0.3
REST_S = 90.0
AUDIT_S = 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--order", default="users,payments,orders,inventory", help="in which the modules leave")
    parser.add_argument("--back", default="", help="in which they come back (default: as they left)")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second (default 20)")
    parser.add_argument("--seconds", type=float, default=20.0, help="with all of them out (default 20)")
    parser.add_argument("--hold-s", type=float, default=2.0, help="how long each share of the reads is watched")
    parser.add_argument("--seed", type=int, default=1, help="of the random choices")
    parser.add_argument("--keep", type=Path, help="a directory for the state, kept with its logs")
    options = parser.parse_args()
    order = options.order.split(",")
    back = options.back.split(",") if options.back else order
    if sorted(order) != sorted(back):
        parser.error(f"--back names other modules than --order; give it {options.order} in any order")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()
    state = options.keep or Path(tempfile.mkdtemp(prefix="shop-all-out-"))
    try:
        run = Run(state, order, back, rate=options.rate, seconds=options.seconds, hold_s=options.hold_s)
        troubles = run.measure(seed=options.seed)
    finally:
        if options.keep is None:
            shutil.rmtree(state, ignore_errors=True)
    for trouble in troubles:
        print(f"  FAILED: {trouble}")
    sys.exit(1 if troubles else 0)


class Run:
    """One run, and what it measured."""

    def __init__(
        self, state: Path, order: Sequence[str], back: Sequence[str], *, rate: float, seconds: float, hold_s: float
    ) -> None:
        self.state, self.order, self.back = state, order, back
        self.rate, self.seconds, self.hold_s = rate, seconds, hold_s
        self.out = state / "load"
        self.switches: list[tuple[str, SwitchFigures]] = []
        self.troubles: list[str] = []
        self.began = time.monotonic()

    def measure(self, *, seed: int) -> list[str]:
        """Print what was measured. What went wrong, a sentence each."""
        from shop.platform import Shop
        from shop.tour.loading import Loading
        from shop.tour.memory import MemoryWatch

        self.out.mkdir(parents=True, exist_ok=True)
        with Shop(self.state, port=0, given={"PATH": os.environ["PATH"]}) as shop:
            shop.wait_for_workers()
            self._child(shop, "-m", "shop.tour.census", "--out", str(self.out), "--before")
            watch = MemoryWatch(shop.processes)
            watch.start()
            loading = Loading(out=self.out, tell=lambda _: None)
            loading.start(shop.url, rate=self.rate, seed=seed)
            try:
                self._there_and_back(shop, loading)
            except RuntimeError as error:
                self.troubles.append(str(error))
                print(f"{time.monotonic() - self.began:6.1f} s  {error}", flush=True)
            finally:
                loading.end()
                watch.stop()
            if loading.trouble:
                self.troubles.append(loading.trouble)
            compared = self._compare(shop)
            if not self.troubles:
                self._audit(shop, ())
                for module in self.back:
                    self._extract(shop, "abort", module)
        peak = max((sum(sample.mb.values()) for sample in watch.samples), default=0.0)
        self._tell(loading.load_s, compared, peak)
        return self.troubles

    def _there_and_back(self, shop: "Shop", loading: "Loading") -> None:
        for module in self.order:
            for stage in ("provision", "replicate", "verify"):
                self._extract(shop, stage, module)
            with self._reader(shop, module):
                self._extract(shop, "ramp", module, "--hold-s", f"{self.hold_s:g}")
            self._switched(module, "cutover", self._extract(shop, "cutover", module))
        print(f"{time.monotonic() - self.began:6.1f} s  all out: {', '.join(self.order)}", flush=True)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if not loading.is_running:
                raise RuntimeError("no customer is left")
            time.sleep(0.2)
        self._audit(shop, self.order)
        for module in self.back:
            self._switched(module, "rollback", self._extract(shop, "rollback", module))

    @contextmanager
    def _reader(self, shop: "Shop", module: str) -> Iterator[None]:
        """Somebody who reads the module meanwhile: few customers look at their payments, and a ramp needs readers."""
        from shop.tour.load import TIMEOUT_S

        signed_in, over = threading.Event(), threading.Event()

        def read() -> None:
            with httpx2.Client(base_url=shop.url, timeout=TIMEOUT_S, trust_env=False) as client:
                try:
                    login = {"email": "staff@shop.example", "password": "demo"}
                    token = client.post("/api/users/login/", json=login).raise_for_status().json()["token"]
                    signed_in.set()
                    while not over.wait(READ_EVERY_S):
                        answer = client.get(READS[module], headers={"Authorization": f"Bearer {token}"})
                        if answer.status_code != 404:
                            answer.raise_for_status()
                except httpx2.HTTPError as error:
                    self.troubles.append(f"reader of {module}: {error}")
                    signed_in.set()

        reader = threading.Thread(target=read)
        reader.start()
        signed_in.wait()
        try:
            yield
        finally:
            over.set()
            reader.join()

    def _extract(self, shop: "Shop", stage: str, module: str, *options: str) -> dict[str, Any]:
        """As it would be typed: what fails on a busy machine is typed once more, and goes on where it was."""
        from shop.tour.children import ChildFailed

        command = ("manage.py", "extract", stage, module, "--json", *options)
        began = time.monotonic()
        try:
            answer = self._child(shop, *command)
        except ChildFailed as error:
            print(f"{time.monotonic() - self.began:6.1f} s  {error}; once more", flush=True)
            answer = self._child(shop, *command)
        took = time.monotonic() - began
        print(f"{time.monotonic() - self.began:6.1f} s  {stage} {module}: done in {took:.1f} s", flush=True)
        return msgspec.json.decode(answer, type=dict[str, Any])

    def _switched(self, module: str, stage: str, evidence: dict[str, Any]) -> None:
        from shop.tour.moves import switch_in

        if (switch := switch_in(evidence)) is not None:
            self.switches.append((f"{stage} {module}", switch))

    def _audit(self, shop: "Shop", units: Sequence[str]) -> None:
        """Here and in these units, for each sees the events of its own modules."""
        from django.conf import settings

        from shop.audit import AuditReport

        seen: set[str] = set()
        for unit in (settings.ORIGIN_UNIT, *units):
            answer = self._child(
                shop, "manage.py", "audit", "--json", "--wait", f"{AUDIT_S:g}", unit=unit, is_ok=(0, 1)
            )
            report = msgspec.json.decode(answer, type=AuditReport)
            seen |= set(report.events_of)
            self.troubles += [f"audit in {unit}: {difference}" for difference in report.differences]
        if missing := sorted(set(settings.ALL_MODULES) - seen):
            self.troubles.append(f"no audit looked at the events of {', '.join(missing)}")

    def _compare(self, shop: "Shop") -> "Comparison":
        from shop.tour import census
        from shop.tour.journeys import NEW_PASSWORD
        from shop.tour.ledger import compare, entries_in
        from shop.tour.load import LEDGER

        entries = entries_in(self.out / LEDGER)
        visitor = census.Visitor(shop.url)
        orders = dict.fromkeys(entry.order_id for entry in entries if entry.order_id is not None)
        seen = visitor.settled(orders, wait_s=REST_S, tell=lambda *_: None)
        self.troubles += [f"order {key} is still pending" for key, it in seen.items() if it and not it.is_settled]
        registered = [entry.customer for entry in entries if entry.is_account and entry.acknowledged]
        accounts = visitor.accounts(dict.fromkeys(registered, NEW_PASSWORD))
        visitor.close()
        self._child(shop, "-m", "shop.tour.census", "--out", str(self.out))
        return compare(
            entries,
            facts=census.facts_in(self.out / census.FACTS),
            seen=seen,
            stock_before=census.stock_in(self.out / census.STOCK_BEFORE),
            stock_after=census.stock_in(self.out / census.STOCK),
            accounts=accounts,
        )

    def _child(self, shop: "Shop", *command: str, unit: str = "", is_ok: tuple[int, ...] = (0,)) -> bytes:
        from shop.tour import children

        return children.run(
            *command,
            environment=shop.environment_of(unit) if unit else shop.environment,
            log=self.out / "commands.log",
            tell=lambda _: None,
            is_ok=is_ok,
        )

    def _tell(self, load_s: float, compared: "Comparison", peak_mb: float) -> None:
        from collections import Counter

        from shop.tour.load import REQUESTS
        from shop.tour.moves import measured
        from shop.tour.samples import samples_in

        samples = samples_in(self.out / REQUESTS)
        for name, switch in self.switches:
            seen = measured(switch, samples)
            slowest = seen.slowest_overlapping_request_ms or 0.0
            print(
                f"  {name:<20} lock to open {seen.lock_to_open_ms:6.1f} ms in {seen.attempts} attempts; "
                f"slowest overlapping request {slowest:.0f} ms ({seen.slowest_overlapping_step or 'none'})"
            )
        failed = [sample for sample in samples if sample.problem]
        for problem, number in Counter(f"{sample.step}: {sample.problem}" for sample in failed).most_common(20):
            self.troubles.append(f"{number} × {problem}")
        steps = Counter(sample.step for sample in samples)
        print(f"  {len(samples)} requests in {load_s:.0f} s, {len(failed)} failed")
        print(f"  by step: {', '.join(f'{step} {number}' for step, number in steps.most_common())}")
        units = Counter(sample.served_by.partition("/")[0] for sample in samples)
        print(f"  answered by: {', '.join(f'{unit} {number}' for unit, number in units.most_common())}")
        print(
            f"  acknowledged: {compared.acknowledged}, of them receipts {compared.acknowledged_receipts}, "
            f"accounts {compared.acknowledged_accounts}; "
            f"lost {len(compared.lost)}, doubled {len(compared.doubled)}"
        )
        print(f"  memory at the peak {peak_mb:.0f} MB")
        self.troubles += [f"lost: {it}" for it in compared.lost] + [f"doubled: {it}" for it in compared.doubled]


if __name__ == "__main__":
    main()
