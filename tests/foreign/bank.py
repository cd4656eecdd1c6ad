"""pgbench, which knows nothing of us, as the writer of a module: its four tables are the module `bank`."""

import os
import re
import secrets
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from extraction.cutover.switch import Switch, switch
from extraction.cutover.verify import verify
from extraction.placement.database import Objects
from extraction.platform.database import Owner, drop_database, drop_roles, provide_database, with_login
from extraction.platform.local.postgres import BINARIES, Postgres
from extraction.project import Module
from extraction.replicate.pair import Pair, Side
from extraction.replicate.prechecks import Obstacle, obstacles
from extraction.replicate.removal import remove
from extraction.replicate.stream import follow, prepare, start
from extraction.units.database import provide, retire

MODULE = Module("bank", (), "default", "bank", ("/bank/",), "monolith")
OBJECTS = Objects("bank", "bank")
CLIENTS = 8
MENDS = re.compile(r"ALTER TABLE .* REPLICA IDENTITY FULL;")
MOVED = re.compile(r"client \d+ .*aborted.*ERROR:  bank lives in (\w+), not in (\w+)")
IN_MOTION = re.compile(r"client \d+ .*aborted.*ERROR:  bank is in motion")
PROCESSED = re.compile(r"transactions actually processed: (\d+)")

BALANCES = """
  select (select count(*) from bank.pgbench_history), (select coalesce(sum(delta), 0) from bank.pgbench_history),
         (select sum(abalance) from bank.pgbench_accounts), (select sum(tbalance) from bank.pgbench_tellers),
         (select sum(bbalance) from bank.pgbench_branches)"""
SLOTS = "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s and not active"


@dataclass(frozen=True, slots=True)
class Run:
    """What a pgbench said at its end."""

    acknowledged: int
    moved: int
    """Clients that ended with MV001."""
    in_motion: int
    """Clients that ended with MV002."""
    output: str


@dataclass
class Bench:
    """A pgbench that runs."""

    process: subprocess.Popen[str]

    def end(self) -> Run:
        out, err = self.process.communicate(timeout=120)
        found = PROCESSED.search(out)
        return Run(
            acknowledged=int(found[1]) if found else 0,
            moved=len(MOVED.findall(err)),
            in_motion=len(IN_MOTION.findall(err)),
            output=out + err,
        )


@dataclass
class Bank:
    """Two databases of the bank."""

    source: Postgres
    target: Postgres
    scale: int
    pair: Pair = field(init=False)
    logins: dict[str, str] = field(init=False)
    acknowledged: int = 0

    def __post_init__(self) -> None:
        mark = secrets.token_hex(3)
        name, password = f"bank_{mark}", secrets.token_urlsafe(12)
        places = {"monolith": self.source, "bank": self.target}
        self.logins = {
            unit: with_login(server.url(), role=f"{unit}_{mark}", password=password, database=name)
            for unit, server in places.items()
        }
        sides = [Side(unit=unit, url=server.url(name)) for unit, server in places.items()]
        self.pair = Pair(id=mark, module="bank", schema="bank", source=sides[0], target=sides[1])
        provide_database(self.source.url(), name=name, owners=[Owner("bank", f"monolith_{mark}", password)])
        self._run("monolith", "-i", "-q", "-s", str(self.scale)).check_returncode()
        with psycopg.connect(self.logins["monolith"], autocommit=True) as owner:
            OBJECTS.install(owner, unit="monolith", home="monolith")

    def provide(self) -> None:
        """The target's database and its tables."""
        source, target = self.pair.source, self.pair.target
        provide(
            MODULE,
            OBJECTS,
            unit="bank",
            source_url=source.url,
            url=target.url,
            login_url=self.logins["bank"],
            tell=lambda _: None,
        )

    def blocked(self) -> list[Obstacle]:
        """What makes replication impossible."""
        return [each for each in obstacles(self.pair) if each.severity == "blocks"]

    def mend(self, obstacle: Obstacle) -> str:
        """Run the statement of this obstacle, literally."""
        found = MENDS.search(obstacle.mend)
        assert found, obstacle
        with psycopg.connect(self.pair.side(obstacle.unit).url, autocommit=True) as admin:
            admin.execute(found[0].encode())
        return found[0]

    def replicate(self) -> None:
        """Returns when both sides follow each other."""
        prepare(self.pair)
        start(self.pair)
        follow(self.pair, tell=lambda _: None, timeout_s=120)

    def move(self, *, to: str) -> Switch:
        """Writes move."""
        return switch(self.pair, to=to)

    def bench(self, unit: str, *options: str) -> Bench:
        """A pgbench of eight clients against this unit."""
        return Bench(
            subprocess.Popen(
                self._command("-n", "-c", str(CLIENTS), "-j", "2", *options),
                env=self._environment(unit),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )

    def counted(self, bench: Bench) -> Run:
        """Its end; what it was told to be committed is kept in mind."""
        run = bench.end()
        self.acknowledged += run.acknowledged
        return run

    def balances(self, unit: str) -> Any:
        """Rows of the history, and the sums of deltas, accounts, tellers and branches."""
        with psycopg.connect(self.pair.side(unit).url) as admin:
            return admin.execute(BALANCES).fetchone()

    def settled(self) -> tuple[Any, Any]:
        """The balances of both sides, when these were found equal row by row."""
        assert verify(self.pair).equal
        return self.balances("monolith"), self.balances("bank")

    def end(self) -> list[str]:
        """Nothing of it stays. Returns what did."""
        left = remove(self.pair)
        retire(self.pair.target.url, self.logins["bank"], unit="bank")
        drop_database(self.source.url(), self.pair.source.url.rpartition("/")[2])
        drop_roles(self.source.url(), [unquote(urlsplit(self.logins["monolith"]).username or "")])
        return left

    def _run(self, unit: str, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*options), env=self._environment(unit), capture_output=True, text=True)

    def _command(self, *options: str) -> list[str]:
        program = pgbench()
        assert program
        return [program, *options]

    def _environment(self, unit: str) -> dict[str, str]:
        parts = urlsplit(self.logins[unit])
        return os.environ | {
            "PGHOST": str(parts.hostname),
            "PGPORT": str(parts.port),
            "PGUSER": unquote(parts.username or ""),
            "PGPASSWORD": unquote(parts.password or ""),
            "PGDATABASE": parts.path[1:],
        }


def pgbench() -> str | None:
    """The machine's, or the wheel's."""
    return shutil.which("pgbench") or shutil.which("pgbench", path=str(BINARIES))


@contextmanager
def bank(source: Postgres, target: Postgres, *, scale: int = 1) -> Iterator[Bank]:
    """Its databases, which are dropped at the end, also where it fails."""
    made = Bank(source, target, scale)
    try:
        yield made
    except BaseException:
        _give_up(made)
        raise
    assert made.end() == []


class Lag:
    """How long a commit at the source takes to be seen at the target: a heartbeat every 20 ms, followed there."""

    def __init__(self, of: Bank) -> None:
        self.of = of
        self.ms: list[float] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True)

    def __enter__(self) -> "Lag":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def quantile_ms(self, percent: int) -> float:
        return statistics.quantiles(self.ms, n=100)[percent - 1]

    def _measure(self) -> None:
        pair = self.of.pair
        with (
            psycopg.connect(pair.source.url, autocommit=True) as source,
            psycopg.connect(pair.target.url, autocommit=True) as target,
        ):
            beat, seen = OBJECTS.query("beat"), OBJECTS.query("beat_of")
            while not self._is_over.wait(0.02):
                (sent,) = source.execute(beat).fetchone() or (0,)
                began = time.perf_counter()
                while (target.execute(seen, {"unit": "monolith"}).fetchone() or (0,))[0] < sent:
                    time.sleep(0.0005)
                    if time.perf_counter() - began > 60:
                        return
                self.ms.append((time.perf_counter() - began) * 1000)


def _give_up(made: Bank) -> None:
    """As far as it goes: the failure is what is to be seen."""
    try:
        remove(made.pair)
    except Exception as error:
        print(f"left behind: {error}")
    name = made.pair.source.url.rpartition("/")[2]
    for server in (made.source, made.target):
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute(SLOTS, (name,))
            with_force = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
            admin.execute(with_force)
