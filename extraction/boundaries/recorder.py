"""Which module's code touches which module's tables, seen in production: the recorder.

    EXTRACTION["recorder"] = {"share": 0.01, "file": "var/coupling.jsonl", "every_s": 60, "most_mb": 100}

Without the key, or with a share of 0, nothing is watched that was not before. `share` of all requests, tasks, handlers
and calls are looked at, each from its first statement to its last, so that what belongs together is seen together;
outside of those it is so many transactions, and so many statements outside of a transaction. A request is seen by
Django's signals, under ASGI only where FollowingMiddleware makes it an operation; a task only where it is a
FollowingTask, else its transactions are.

Whose code it is, the frame nearest to the statement says that stands in a module; whose table, its model's app. What
belongs to no module is counted as that. What never reaches Django's cursor is not seen: `cursor.copy()`, `callproc`,
the driver's own connection. A statement that failed does not count.

Each process counts for itself, in bounded memory, and appends a line to the file every so many seconds and at its end;
`manage.py coupling` reads it. Whatever goes wrong here is one line in the log, and then nothing is recorded any more in
this process: the application never learns of it. What is its own, the end of its patience that a signal raises while we
count, it gets.
"""

import atexit
import math
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished, request_started, setting_changed

from extraction import project
from extraction.boundaries import operations
from extraction.boundaries.callsite import CallSite, call_site, raised_by_a_signal
from extraction.boundaries.recording import Busy, Record, append
from extraction.boundaries.statements import Statement, statement
from extraction.logs import get_logger

log = get_logger(__name__)

MOST_KEYS = 2000
"""Distinct call sites with their tables, between two lines of the file; what comes after is counted without them."""
EVERY_S = 60.0
MOST_MB = 100.0
"""The file is not let grow beyond."""


class Transaction:
    """What one transaction has touched so far."""

    __slots__ = ("is_recorded", "modules", "second")

    def __init__(self, *, is_recorded: bool) -> None:
        self.is_recorded = is_recorded
        self.modules: dict[str, bool] = {}
        """And whether it wrote there."""
        self.second: CallSite | None = None
        """Where it first touched a second one."""

    def note(self, seen: Statement, site: CallSite | None) -> None:
        for owner, _ in seen.reads:
            self.modules.setdefault(owner, False)
        for owner, _ in seen.writes:
            self.modules[owner] = True
        if self.second is None and len(self.modules) > 1:
            self.second = site


class Recorder:
    """Counts for one process."""

    def __init__(self, *, share: float, file: Path, every_s: float = EVERY_S, most_mb: float = MOST_MB) -> None:
        self.share, self.file, self.every_s, self.most_bytes = share, file.absolute(), every_s, int(most_mb * 2**20)
        self._has_given_up = False
        self.afresh()

    def afresh(self) -> None:
        """With nothing counted: the child of a fork has its parent's counts, and none of its threads."""
        # Of a kind that one thread may take twice: a signal's handler may run a statement while it counts one.
        self._lock, self._writing = threading.RLock(), threading.RLock()
        self._random = random.Random()  # noqa: S311  # the application may have seeded the one that all share
        self._record = Record(share=self.share, since=_now())
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._written_at = time.monotonic()

    def executed(self, sql: str, *, alone: str, inside: bool, transaction: Transaction | None) -> Transaction | None:
        """A statement was; returns the transaction that it stands in, where it is `inside` one.

        `alone` is the module that the alias serves and no other.
        """
        try:
            is_recorded = self._is_recorded(inside, transaction)
            if inside and transaction is None:
                transaction = Transaction(is_recorded=is_recorded)
            if is_recorded and (seen := statement(sql, alone=alone)) is not None:
                site = call_site()
                self._count(seen, site)
                if transaction is not None:
                    transaction.note(seen, site)
        except Exception as error:
            self.give_up(error)
        return transaction

    def committed(self, transaction: Transaction) -> None:
        """Counts where it touched several modules and wrote."""
        if len(transaction.modules) < 2 or not any(transaction.modules.values()):
            return
        try:
            with self._lock:
                self._record.add_transaction(transaction.modules, transaction.second, most=MOST_KEYS)
        except Exception as error:
            self.give_up(error)

    def flush(self) -> None:
        """Append what was counted to the file, and count anew."""
        try:
            with self._writing:  # who ends the process waits for the thread that writes
                self._flush()
        except Exception as error:
            self.give_up(error)

    def stop(self) -> None:
        """Write what is left, and count no more."""
        self._stopped.set()
        self.flush()

    def give_up(self, error: Exception) -> None:
        """Say it once, and record nothing any more in this process. Raises the error where it is the application's."""
        global active
        if _is_the_applications(error):
            raise error
        self._stopped.set()
        if active is self:
            active = None
        if not self._has_given_up:
            self._has_given_up = True
            log.warning(
                "coupling is recorded no longer in this process",
                file=str(self.file),
                error=f"{type(error).__name__}: {error}",
            )

    def _flush(self) -> None:
        with self._lock:
            record, self._record = self._record, Record(share=self.share, since=_now())
            self._written_at = time.monotonic()
        if record.is_empty:
            return
        try:
            append(self.file, record.document(until=_now()), most_bytes=self.most_bytes)
        except Busy:
            with self._lock:
                self._record.merge(record, most=MOST_KEYS)

    def _is_recorded(self, inside: bool, transaction: Transaction | None) -> bool:
        unit = _request.get() or operations.outermost()
        if unit is not None:
            if unit.recorded is None:
                unit.recorded = self._draw(unit.kind)
            return unit.recorded
        if transaction is not None:
            return transaction.is_recorded
        return self._draw("transaction" if inside else "statement")

    def _draw(self, kind: str) -> bool:
        drawn = self.share >= 1 or self._random.random() < self.share
        if drawn:
            with self._lock:
                self._record.operations[kind] += 1
        return drawn

    def _count(self, seen: Statement, site: CallSite | None) -> None:
        with self._lock:
            self._record.add(seen, site, most=MOST_KEYS)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_now_and_then, name="coupling", daemon=True)
                with suppress(RuntimeError):  # the interpreter is about to end
                    self._thread.start()
        if time.monotonic() - self._written_at > 3 * self.every_s:  # a server that runs no threads of ours
            self.flush()

    def _write_now_and_then(self) -> None:
        while not self._stopped.wait(self.every_s):
            self.flush()


active: Recorder | None = None
"""Of this process; None records nothing."""


def install() -> None:
    """As the setting says, now and when a test overrides it. Raises ImproperlyConfigured."""
    setting_changed.connect(_setting_changed, dispatch_uid="extraction.recorder")
    configured = _configured()
    if configured is not None:
        start(configured)


def start(recorder: Recorder) -> None:
    """Record with this one from now on."""
    global active, _is_hooked
    stop()
    active = recorder
    request_started.connect(_request_began, dispatch_uid="extraction.recorder")
    request_finished.connect(_request_ended, dispatch_uid="extraction.recorder")
    if not _is_hooked:
        _is_hooked = True
        atexit.register(stop)
        os.register_at_fork(after_in_child=_forked)
        from multiprocessing.util import register_after_fork  # slow, and most start without a recorder

        _stop_with_multiprocessing(stop)
        register_after_fork(stop, _stop_with_multiprocessing)


def stop() -> None:
    """Record no more; what was counted is written."""
    global active
    recorder, active = active, None
    request_started.disconnect(dispatch_uid="extraction.recorder")
    request_finished.disconnect(dispatch_uid="extraction.recorder")
    if recorder is not None:
        recorder.stop()


class _Request:
    """From the first to the last of Django's signals."""

    __slots__ = ("kind", "recorded")

    def __init__(self) -> None:
        self.kind = "request"
        self.recorded: bool | None = None


_request: ContextVar[_Request | None] = ContextVar("request of the recorder", default=None)
_is_hooked = False


def _configured() -> Recorder | None:
    given = project.said().get("recorder") or {}
    unknown = given.keys() - {"share", "file", "every_s", "most_mb"}
    if unknown:
        raise ImproperlyConfigured(
            f'EXTRACTION["recorder"] has {", ".join(sorted(unknown))}; it takes share, file, every_s and most_mb'
        )
    numbers: dict[str, float] = {"share": 0.0, "every_s": EVERY_S, "most_mb": MOST_MB}
    for name in numbers:
        value = given.get(name, numbers[name])
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise ImproperlyConfigured(f'EXTRACTION["recorder"]: {name} is {value!r}; it takes a number, 0 or more')
        numbers[name] = value
    if numbers["share"] > 1:
        raise ImproperlyConfigured(
            f'EXTRACTION["recorder"]: share is {numbers["share"]}; it takes 0 (nothing) to 1 (every request)'
        )
    if not numbers["share"]:
        return None
    file = given.get("file")
    if not file or not isinstance(file, str | os.PathLike):
        raise ImproperlyConfigured(
            'EXTRACTION["recorder"] has no file; say where to write: "file": BASE_DIR / "var" / "coupling.jsonl"'
        )
    return Recorder(
        share=numbers["share"],
        file=Path(file),
        every_s=min(max(0.1, numbers["every_s"]), threading.TIMEOUT_MAX),
        most_mb=numbers["most_mb"],
    )


def _setting_changed(*, setting: str, **_: Any) -> None:
    if setting == "EXTRACTION":
        stop()
        configured = _configured()
        if configured is not None:
            start(configured)


def _request_began(**_: Any) -> None:
    _request.set(_Request())


def _request_ended(**_: Any) -> None:
    _request.set(None)


def _forked() -> None:
    if active is not None:
        active.afresh()


def _stop_with_multiprocessing(hook: Callable[[], None]) -> None:
    """Its children end without atexit, and forget after a fork what their parent would do at its end."""
    from multiprocessing.util import Finalize

    Finalize(None, hook, exitpriority=0)


def _is_the_applications(error: Exception) -> bool:
    """A signal's handler raised it while our code ran; or nothing that we call raises its kind: it was thrown in."""
    if type(error).__module__.partition(".")[0] not in {*sys.stdlib_module_names, "django", "extraction"}:
        return True
    return raised_by_a_signal(error)


def _now() -> datetime:
    return datetime.now(UTC)
