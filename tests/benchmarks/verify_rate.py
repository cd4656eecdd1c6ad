"""How fast both sides are compared, beside a count of the rows and beside a comparison in the client.

    uv run python -m tests.benchmarks.verify_rate --rows 10000000

Two servers of their own hold the same rows. In one run: `SELECT count(*)` of every table on both sides at a time;
`verify`; an ordered cursor on each side, compared in Python. Then one row is changed, one taken away and one added on
one side, and `verify` has to find these three. Exit status 1 when it does not.
"""

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from extraction.cutover.verify import Verification, verify
from extraction.platform.local.postgres import Postgres
from extraction.replicate.pair import Pair, Side
from extraction.replicate.stream import follow, prepare, start
from tests.benchmarks.copy_rate import ROWS, SHARES, TABLES
from tests.extraction.conftest import SCHEMA, Server, _new_pair, as_owner, connect
from tests.extraction.test_verify import meddling

ROWS_AT_A_TIME = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast both sides are compared.")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    servers = [Server(Postgres(Path(tempfile.mkdtemp(prefix="shop-rate-")))) for _ in range(2)]
    try:
        for server in servers:
            server.postgres.prepare()
            server.start()
        with _new_pair(*servers) as pair:
            is_found = measure(pair, given.rows, given.rounds, given.workers)
    finally:
        for server in servers:
            server.stop()
            shutil.rmtree(server.postgres.directory)
    sys.exit(0 if is_found else 1)


def measure(pair: Pair, rows: int, rounds: int, workers: int) -> bool:
    """Print what was measured; whether the three rows were found, and nothing else."""
    _fill(pair, rows)
    counts, compared, clients, pauses = list[float](), list[float](), list[float](), list[float]()
    for number in range(rounds):
        counts.append(_timed(lambda: _both(pair, _count)))
        compared.append(_timed(lambda: pauses.append(_verified(pair, workers).pause_ms)))
        if number == 0:
            clients.append(_timed(lambda: _in_client(pair)))
    for name, seconds in (("count(*)", counts), (f"verify, {workers} workers", compared), ("in the client", clients)):
        best = statistics.median(seconds)
        print(f"{name:<20} {best:8.2f} s  {rows / best:12,.0f} rows/s", flush=True)
    ratio = statistics.median(counts) / statistics.median(compared)
    faster = statistics.median(clients) / statistics.median(compared)
    print(f"verify does {ratio:.2f} of the rate of count(*), and {faster:.1f} times that of the client")
    print(f"pause: median {statistics.median(pauses):.1f} ms, worst {max(pauses):.1f} ms of {len(pauses)}")
    return _finds(pair, rows, workers)


def _fill(pair: Pair, rows: int) -> None:
    for side in (pair.source, pair.target):
        with as_owner(side) as owner:
            owner.execute(TABLES)
    with as_owner(pair.source) as owner:
        for table, statement in ROWS.items():
            owner.execute(statement.format(int(rows * SHARES[table])))
    prepare(pair)
    start(pair)
    follow(pair, tell=lambda _: None, timeout_s=3600)
    for side in (pair.source, pair.target):
        with connect(side) as admin:
            admin.execute("vacuum analyze")


def _timed(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def _both(pair: Pair, do: Callable[[Side], object]) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(do, (pair.source, pair.target)))


def _count(side: Side) -> None:
    with connect(side) as admin:
        for table in SHARES:
            admin.execute(f"select count(*) from {SCHEMA}.{table}")


def _verified(pair: Pair, workers: int) -> Verification:
    found = verify(pair, workers=workers)
    assert found.equal, found
    return found


def _in_client(pair: Pair) -> None:
    for table in SHARES:
        query = f"select * from {SCHEMA}.{table} order by id"
        with connect(pair.source) as source, connect(pair.target) as target:
            with source.transaction(), target.transaction():
                with source.cursor("ours") as ours, target.cursor("theirs") as theirs:
                    for cursor in (ours, theirs):
                        cursor.itersize = ROWS_AT_A_TIME
                        cursor.execute(query)
                    for here, there in zip(ours, theirs, strict=True):
                        assert here == there


def _finds(pair: Pair, rows: int, workers: int) -> bool:
    middle = int(rows * SHARES["line"]) // 2
    with meddling(pair.target) as target:
        target.execute("update inventory.line set note = note || '.' where id = %s", [middle])
        target.execute("delete from inventory.line where id = %s", [middle // 2])
        target.execute("insert into inventory.visit (path, seen) values ('/', '{}')")
    began = time.perf_counter()
    found = verify(pair, workers=workers)
    took_s = time.perf_counter() - began
    differences = [(table.table, each) for table in found.tables for each in table.differences]
    for table, each in differences:
        print(f"  {table} {each.key}: {', '.join(each.columns) or f'only in {each.only_in}'}")
    print(f"1 changed, 1 missing, 1 extra: {len(differences)} found in {took_s:.2f} s")
    kinds = sorted((table, each.columns, each.only_in) for table, each in differences)
    return kinds == [("line", (), "monolith"), ("line", ("note",), ""), ("visit", (), "inventory")]


if __name__ == "__main__":
    main()
