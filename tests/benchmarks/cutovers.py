"""Cutovers and rollbacks of a whole shop while customers buy: how long writers wait, the slowest request beside them.

    uv run python -m tests.benchmarks.cutovers --rounds 20 --rate 20
    uv run python -m tests.benchmarks.cutovers --rounds 50 --rate 10 --beside 190    # 200 requests a second in all
    uv run python -m tests.benchmarks.cutovers --rounds 5 --wrk      # counted by wrk as well: apt install wrk

A shop of its own in a temporary directory, behind its edge, with embedded servers. Exit status 1 when a request failed.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django
import httpx2
import msgspec

from shop.tour.samples import Sample
from tests.benchmarks.beside import SAMPLES

PAUSE_S = 1.0
"""Between two switches, so that one is not measured in the wake of another."""
WRK = re.compile(r"(\d+) requests in|Non-2xx or 3xx responses: (\d+)|Socket errors: (.+)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="of a cutover and a rollback (default 20)")
    parser.add_argument("--rate", type=float, default=20.0, help="of the customers, requests a second (default 20)")
    parser.add_argument("--module", default="inventory")
    parser.add_argument("--beside", type=float, default=0.0, help="reads and receipts a second besides (default 0)")
    parser.add_argument("--wrk", action="store_true", help="a second client, reading and writing as fast as it can")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    django.setup()
    sys.exit(measure(options.rounds, options.rate, options.module, options.beside, options.wrk))


def measure(rounds: int, rate: float, module: str, rate_beside: float, by_wrk: bool) -> int:
    """Print what was measured. The number of failed requests, at most 1."""
    from shop.platform import Shop
    from shop.tour import children
    from shop.tour.load import REQUESTS
    from shop.tour.loading import Loading
    from shop.tour.moves import measured, switch_in
    from shop.tour.samples import latency_of, samples_in

    state = Path(tempfile.mkdtemp(prefix="shop-cutovers-"))
    try:
        with Shop(state, port=0, given={"PATH": os.environ["PATH"]}) as shop:
            shop.wait_for_workers()

            def child(*command: str) -> bytes:
                return children.run(
                    *command, environment=shop.environment, log=state / "commands.log", tell=lambda _: None
                )

            loading = Loading(out=state, tell=lambda _: None)
            loading.start(shop.url, rate=rate, seed=1)
            try:
                for stage in ("provision", "replicate", "verify", "ramp"):
                    child("manage.py", "extract", stage, module)
                    print(f"{stage}: done", flush=True)
                with (
                    wrk(shop.url, seconds=rounds * 12) if by_wrk else nobody() as second,
                    beside(shop.url, rate_beside, state) if rate_beside else nobody(),
                ):
                    time.sleep(PAUSE_S)
                    program = ("-m", "tests.benchmarks.to_and_fro", "--module", module)
                    said = child(*program, "--rounds", str(rounds), "--pause-s", str(PAUSE_S))
                loading.end()
            finally:
                loading.end()
            samples = samples_in(state / REQUESTS)
            if rate_beside:
                # The run is the time of the switches: what came before is the load of another benchmark.
                others = samples_in(state / SAMPLES)
                samples = [sample for sample in samples if sample.due_at >= others[0].due_at] + others
    finally:
        shutil.rmtree(state, ignore_errors=True)
    switches = (switch_in(msgspec.json.decode(line, type=dict[str, Any])) for line in said.splitlines())
    seen = [measured(switch, samples) for switch in switches if switch]
    if len(seen) != 2 * rounds:
        raise SystemExit(f"{len(seen)} switches were told of, not {2 * rounds}")
    failed = sum(1 for sample in samples if sample.problem)
    p99_ms = latency_of(samples).p99_ms
    slowest = [switch.slowest_overlapping_request_ms or 0.0 for switch in seen]
    attempts, span_s = sum(switch.attempts for switch in seen), _span_s(samples)
    print(
        f"{len(seen)} switches in {attempts} attempts, {len(samples) / span_s:.0f} requests a second for {span_s:.0f} s"
    )
    tell("lock to commit", [switch.lock_to_commit_ms for switch in seen])
    tell("lock to open", [switch.lock_to_open_ms for switch in seen])
    tell("slowest overlapping request", slowest)
    print(f"  p99 of the run {p99_ms:.0f} ms; within 100 ms of it: {sum(ms <= p99_ms + 100 for ms in slowest)}")
    print(f"  {len(samples)} requests, {failed} failed")
    for sample in [sample for sample in samples if sample.problem][:10]:
        print(f"    {sample.due_at:%H:%M:%S.%f} {sample.step}: {sample.problem} after {sample.latency_ms:.0f} ms")
    if by_wrk:
        print(f"  wrk: {second}")
        failed += sum(number for name, number in second.items() if name != "requests")
    return min(failed, 1)


def tell(name: str, values: list[float]) -> None:
    print(f"  {name:<28} median {statistics.median(values):.1f} ms, worst {max(values):.1f} ms")


def _span_s(samples: list[Sample]) -> float:
    return (max(sample.due_at for sample in samples) - min(sample.due_at for sample in samples)).total_seconds()


@contextmanager
def beside(url: str, rate: float, out: Path) -> Iterator[dict[str, int]]:
    """The second client of our own until the block ends."""
    command = [sys.executable, "-m", "tests.benchmarks.beside", "--url", url, "--rate", str(rate), "--out", str(out)]
    client = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield {}
    finally:
        client.communicate(timeout=60)


@contextmanager
def nobody() -> Iterator[dict[str, int]]:
    yield {}


@contextmanager
def wrk(url: str, *, seconds: int) -> Iterator[dict[str, int]]:
    """wrk beside the load, until the block ends: what it counted."""
    login = {"email": "staff@shop.example", "password": "demo"}
    token = httpx2.post(f"{url}/api/users/login/", json=login).raise_for_status().json()["token"]
    script = Path(__file__).with_name("both_ways.lua")
    client = subprocess.Popen(
        ["wrk", "-t1", "-c4", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url],
        env={**os.environ, "TOKEN": token},
        stdout=subprocess.PIPE,
        text=True,
    )
    counted: dict[str, int] = {}
    try:
        yield counted
    finally:
        client.send_signal(2)  # it ends and counts
        said = client.communicate(timeout=30)[0]
        print(said)
        for requests, others, errors in WRK.findall(said):
            if requests:
                counted["requests"] = int(requests)
            if others:
                counted["not 2xx"] = int(others)
            for name, number in re.findall(r"(\w+) (\d+)", errors):
                counted[f"socket errors: {name}"] = int(number)


if __name__ == "__main__":
    main()
