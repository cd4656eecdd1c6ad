"""All of it: copies, patches, layers and the other linters, several breaches at a time."""

import os
import queue
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import psycopg

from shop.breaches import others
from shop.breaches.breach import Breach, NotApplicable, apply
from shop.breaches.databases import Databases, Environment
from shop.breaches.judging import Outcome, Proof, Told, catches, in_order, traces
from shop.breaches.program import JobFailed, Program
from shop.breaches.scratch import copy_of_copy, copy_of_project

T = TypeVar("T")

UNPATCHED = "unpatched"
ALONE = "orders"
"""The module that is run without the others: what is run is a request to it."""
INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""What a copy is told of this machine; of the project's variables it has its own."""


class Bench:
    """Where breaches are judged: a copy of the project that nobody patches, programs, and a server."""

    def __init__(
        self, directory: Path, base: Path, databases: Databases, programs: Sequence[Program], pool: ThreadPoolExecutor
    ) -> None:
        self.directory, self.base, self.databases = directory, base, databases
        self._pool = pool
        self._programs: queue.SimpleQueue[Program] = queue.SimpleQueue()
        for program in programs:
            self._programs.put(program)
        self._import_linter = directory / "import-linter.ini"
        self._import_linter.write_text(others.IMPORT_LINTER)
        self._secret = secrets.token_urlsafe(50)
        self._lock = threading.Lock()
        self._known_of_source: list[Told] = []
        self._known_of_database: list[Told] | None = None

    def outcomes(self, breaches: Sequence[Breach], tell: Callable[[Outcome], None]) -> list[Outcome]:
        """Of each breach in turn.

        `tell` hears of each as soon as it is judged. Raises JobFailed where the project does not run as it is, or
        breaks a rule of another linter already; NoServer.
        """
        looking = []
        if any(breach.needs_database for breach in breaches):
            serving = self._pool.submit(self.databases.start)
            self.look_at_source()
            serving.result()
            looking = [self._pool.submit(self.look_at_database)]
        else:
            self.look_at_source()
        # Those with a database last: it is being made meanwhile.
        in_turn = sorted(breaches, key=lambda breach: breach.needs_database)
        judged = {each.breach.label: each for each in self._all([partial(self.judge, each) for each in in_turn], tell)}
        for each in looking:
            each.result()
        return [judged[breach.label] for breach in breaches]

    def proofs(self, judged: Sequence[Outcome], codes: Iterable[str], tell: Callable[[Proof], None]) -> list[Proof]:
        """Of each of these rules in turn, with the breaches that it alone caught. `tell` hears of each.

        A variant is tried before a first form: it is there for a rule that the first form does not need.
        """
        in_turn = sorted(judged, key=lambda each: (each.breach.is_variant, each.breach.label), reverse=True)
        alone = {code: [each.breach for each in in_turn if each.codes == {code}] for code in codes}
        proven = {each.code: each for each in self._all([partial(self.prove, *each) for each in alone.items()], tell)}
        return [proven[code] for code in alone]

    def _all(self, tasks: Iterable[Callable[[], T]], tell: Callable[[T], None]) -> list[T]:
        """What each came to, in the order in which they ended."""
        done = []
        try:
            for future in as_completed([self._pool.submit(task) for task in tasks]):
                done.append(future.result())
                tell(done[-1])
        except BaseException:
            self._pool.shutdown(cancel_futures=True)
            raise
        return done

    def look_at_source(self) -> None:
        """Of the unpatched copy. What is compiled and kept meanwhile, every patched copy has too."""
        with self._program() as program:
            self._known_of_source, said = self._look(program, self.base)
        self._unpatched = copy_of_copy(self.base, self.directory / UNPATCHED)
        if any(said.values()):
            raise JobFailed(f"without a patch the other linters complain already: {said}")

    def look_at_database(self) -> None:
        """Of the unpatched copy, if nobody did yet."""
        with self._program() as program:
            self._known(program)

    def judge(self, breach: Breach, *, without: str = "") -> Outcome:
        """On a copy and a database of its own, which go away; `without` the rule of this code."""
        began = time.monotonic()
        new = traces if without else partial(catches, breach)
        name = "_".join(filter(None, (breach.label, *without.lower().split("."))))
        root = self.directory / f"breach-{name}"
        with self._program() as program:
            try:
                copy_of_copy(self.base, root)
                apply(breach, root)
                found, said = self._look(program, root, without)
                caught = new(found, self._known_of_source)
                if breach.needs_database or not caught:
                    runs = bool(breach.run) or not caught
                    found = self._look_with_database(program, root, breach, name=name, runs=runs, without=without)
                    caught = in_order((*caught, *new(found, self._known(program))))
            except (JobFailed, NotApplicable, psycopg.Error) as error:
                return Outcome(breach=breach, error=str(error), took_s=time.monotonic() - began)
            finally:
                shutil.rmtree(root, ignore_errors=True)
        return Outcome(breach=breach, catches=caught, others=said, took_s=time.monotonic() - began)

    def prove(self, code: str, breaches: Iterable[Breach]) -> Proof:
        """Until one of the breaches escapes without the rule of this code."""
        tried = []
        for breach in breaches:
            tried.append(self.judge(breach, without=code))
            if Proof(code, tuple(tried)).escaped:
                break
        return Proof(code, tuple(tried))

    def _look(self, program: Program, root: Path, without: str = "") -> tuple[list[Told], dict[str, tuple[str, ...]]]:
        """What needs no database, and the other linters, which have no rule to do without."""
        environment = self._environment(root)
        answer = program.do(
            *("source", *["import-linter"] * (not without)),
            root=root,
            environment=environment,
            import_linter=str(self._import_linter),
            import_linter_cache=str(root / "var" / "cache" / "import-linter"),
            without=without,
        )
        if without:
            return _findings(answer["source"]), {}
        said = {
            "import-linter": others.of_import_linter(root, answer["import-linter"]),
            "tach": others.of_tach(root, environment),
        }
        return _findings(answer["source"]), said

    def _look_with_database(
        self, program: Program, root: Path, breach: Breach, *, name: str, runs: bool, without: str = ""
    ) -> list[Told]:
        if breach.makes_roles:
            variables = self.databases.new(name)
        else:
            variables = self.databases.copy(name, migrate=self._migrating(program))
        try:
            return self._look_with(program, root, breach, variables, runs=runs, without=without)
        finally:
            self.databases.drop(name)

    def _look_with(
        self, program: Program, root: Path, breach: Breach, variables: Environment, *, runs: bool, without: str
    ) -> list[Told]:
        if breach.administrator:
            self.databases.execute(variables, breach.administrator)
        environment = self._environment(root) | variables
        if breach.migrates or breach.makes_roles:
            # The guards would refuse a migration before the database is asked; in production they log.
            program.do("migrate", root=root, environment=environment | {"GUARDS": "log"})
        given = {kind: str(file) for kind, file in self._programs_of(root, breach).items()} | {"without": without}
        answer = program.do("database", *["run"] * runs, root=root, environment=environment, **given)
        found = _findings(answer["database"])
        if not runs:
            return found
        if raised := answer["run"].get("raised"):
            raise JobFailed(f"what it runs fails, and no guard says why: {raised}")
        if not answer["run"]["looked"]:  # what a guard refuses says nothing of the module alone
            alone = environment | {"SHOP_MODULES": ALONE}
            answer |= program.do("alone", root=root, environment=alone, broken=answer["run"]["broken"], **given)
        return found + [
            each for task in ("run", "alone") if task in answer for each in _findings(answer[task]["looked"])
        ]

    def _known(self, program: Program) -> list[Told]:
        """What the layers of the database and of run time find without a patch."""
        with self._lock:
            if self._known_of_database is None:
                nothing = Breach(label="0", title="no breach")
                self._known_of_database = self._look_with_database(
                    program, self._unpatched, nothing, name=nothing.label, runs=True
                )
            return self._known_of_database

    def _migrating(self, program: Program) -> Callable[[Environment], None]:
        def migrate(variables: Environment) -> None:
            program.do("migrate", root=self._unpatched, environment=self._environment(self._unpatched) | variables)

        return migrate

    def _programs_of(self, root: Path, breach: Breach) -> dict[str, Path]:
        """Files with what a breach runs, beside its copy."""
        files = {"given": (breach.given, "given"), "program": (breach.run or _NOTHING, "run")}
        written = {}
        for name, (text, suffix) in files.items():
            if text:
                written[name] = root.with_name(f"{root.name}.{suffix}.py")
                written[name].write_text(text)
        return written

    def _environment(self, root: Path) -> Environment:
        """All variables of a process that works in this copy."""
        return {
            **{name: os.environ[name] for name in INHERITED if name in os.environ},
            "BEHIND_HTTPS": "0",
            "BROKER_URL": "memory://",
            "CONTRACTS_STRICT": "1",
            "DEBUG": "0",
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "GUARDS": "raise",
            "PAYMENT_WEBHOOK_SECRET": self._secret,
            "SECRET_KEY": self._secret,
            "SHOP_ENV_FILE": str(root / "var" / "env"),
            "SHOP_STATE_DIR": str(root / "var"),
            "TZ": "UTC",
        }

    @contextmanager
    def _program(self) -> Iterator[Program]:
        program = self._programs.get()
        try:
            yield program
        finally:
            self._programs.put(program)


@contextmanager
def bench(root: Path, *, processes: int) -> Iterator[Bench]:
    """For the project at `root` as it stands there. Everything goes away with it. Raises JobFailed."""
    with TemporaryDirectory(prefix="shop-breaches-", ignore_cleanup_errors=True) as temporary, ExitStack() as stack:
        directory = Path(temporary).resolve()
        programs = [stack.enter_context(Program()) for _ in range(processes)]
        base = copy_of_project(root, directory / "base")
        others.configure(base)
        databases = stack.enter_context(Databases(directory))
        for program in programs:
            program.wait()
        pool = stack.enter_context(ThreadPoolExecutor(processes))
        yield Bench(directory, base, databases, programs, pool)


def _findings(looked: list[dict[str, Any]]) -> list[Told]:
    """Raises JobFailed where a layer did not look."""
    if skipped := [f"{each['layer']}: {each['skipped']}" for each in looked if each["skipped"]]:
        raise JobFailed(f"a layer did not look: {'; '.join(skipped)}")
    return [finding for each in looked for finding in each["findings"]]


_NOTHING = "from modules.orders.service import order_expire_due\norder_expire_due()\n"
"""What is run of a breach that says nothing of it."""
