"""The processes of a unit: what is run, with which variables."""

import sys
from collections.abc import Mapping
from pathlib import Path

from extraction.platform.local.supervision import Process
from shop.records import SECOND, Unit

ERRAND_THREADS = 4
"""They wait for somebody outside, so threads do."""


def web(unit: Unit, *, environment: Mapping[str, str], wait_for: Path | None = None) -> Process:
    """It opens its port when the file that it waits for is there."""
    return Process(
        name=unit.web,
        command=(sys.executable, "-m", "gunicorn", "--config", "python:shop.serving", "shop.wsgi"),
        environment={
            **environment,
            "BEHIND_EDGE": "1",
            "SHOP_RELEASE": unit.release,
            "SHOP_WAIT_FOR": str(wait_for or ""),
            "WEB_BIND": f"127.0.0.1:{unit.port}",
            "WEB_WORKERS": str(unit.web_processes),
            "WEB_THREADS": str(unit.web_threads),
        },
    )


def workers(unit: Unit, *, environment: Mapping[str, str], run: Path) -> list[Process]:
    """One for the unit's own work, with beat, and one that waits for the payment provider where payments is."""
    beat = ("--beat", "--schedule", str(run / f"{unit.process('worker')}.beat"))
    roles = {
        unit.process("worker"): (unit.name, (*beat, "--concurrency", str(unit.worker_processes))),
        unit.process("errands"): (
            f"{unit.name}_errands",
            ("--pool", "threads", "--concurrency", str(ERRAND_THREADS)),
        ),
    }
    return [_worker(unit, name, *roles[name], environment=environment, run=run) for name in unit.workers]


def ready_file(run: Path, worker: str) -> Path:
    """The worker makes this file when it takes tasks."""
    return run / f"{worker}.ready"


def temporary(run: Path) -> Path:
    """Celery's pool leaves files behind when it is killed; the next start takes them away."""
    return run / "tmp"


def _worker(
    unit: Unit, name: str, queue: str, options: tuple[str, ...], *, environment: Mapping[str, str], run: Path
) -> Process:
    return Process(
        name=name,
        command=(
            *(sys.executable, "-m", "celery", "--app", "shop.celery", "worker"),
            *("--queues", queue, "--hostname", f"{queue}@local{SECOND if unit.second else ''}", *options),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"),
        ),
        environment={
            **environment,
            "SHOP_READY_FILE": str(ready_file(run, name)),
            "SHOP_RELEASE": unit.release,
            "TMPDIR": str(temporary(run)),
        },
    )
