"""How much longer a subscription copies a table than reading it alone takes: what `extract plan` reckons with.

uv run python -m tests.benchmarks.copy_factor --rows 300000
"""

import argparse
import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg

from extraction.platform.local.postgres import Postgres

TABLE = """
create table item (
  id bigint primary key, code uuid not null, name text not null, price numeric(12, 2) not null, at timestamptz not null
);
create index on item (code);
create index on item (name, price);
"""
ROWS = """
insert into item select n, gen_random_uuid(), md5(n::text) || md5((-n)::text), n %% 10000 / 100.0,
  now() - n * interval '1 s'
from generate_series(1, %s) n
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with ExitStack() as stack:
        source, target = (_server(stack) for _ in range(2))
        with psycopg.connect(source, autocommit=True) as one, psycopg.connect(target, autocommit=True) as other:
            for side in (one, other):
                side.execute(TABLE)
            one.execute(ROWS, [given.rows])
            one.execute("create publication plan for table item")
            for _ in range(given.rounds):
                read_s, copy_s = _read(one), _copy(other, source)
                print(f"{given.rows} rows: read {read_s:.2f} s, copied {copy_s:.2f} s, factor {copy_s / read_s:.1f}")


def _read(source: psycopg.Connection) -> float:
    began = time.monotonic()
    with source.cursor() as cursor, cursor.copy("copy item to stdout") as copy:
        for _ in copy:
            pass
    return time.monotonic() - began


def _copy(target: psycopg.Connection, source: str) -> float:
    """Until every row is there and committed."""
    target.execute("truncate item")
    began = time.monotonic()
    target.execute(f"create subscription plan connection '{source}' publication plan")
    while target.execute("select 1 from pg_subscription_rel where srsubstate not in ('s', 'r')").fetchall():
        time.sleep(0.01)
    took_s = time.monotonic() - began
    target.execute("drop subscription plan")
    return took_s


def _server(stack: ExitStack) -> str:
    directory = Path(tempfile.mkdtemp(prefix="shop-factor-"))
    stack.callback(shutil.rmtree, directory, ignore_errors=True)
    server = Postgres(directory)
    server.prepare()
    process = server.start(directory / "log")
    stack.callback(process.wait)
    stack.callback(process.send_signal, signal.SIGINT)
    server.wait()
    return server.url()


if __name__ == "__main__":
    main()
