import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, before_task_publish, task_prerun, worker_ready
from django.db import close_old_connections

from extraction.boundaries.operations import note_outside
from extraction.platform.local.tether import end_with_parent
from shop import broker  # noqa: F401  (registers the transport)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop", task_cls="contracts.runtime.follower:FollowingTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@beat_embedded_init.connect
def end_with_worker(**_: Any) -> None:
    """The pool's processes notice that their worker was killed; beat would go on beside the next one's."""
    end_with_parent(signal.SIGKILL)


@worker_ready.connect
def say_so(**_: Any) -> None:
    """Whoever started this worker may wait for the file."""
    if file := os.environ.get("SHOP_READY_FILE"):
        Path(file).touch()


@task_prerun.connect
def drop_broken_connections(**_: Any) -> None:
    """As Django does before a request: with CELERY_DB_REUSE_MAX a connection lost once would fail every later task."""
    close_old_connections()


@before_task_publish.connect
def note_message(sender: str | None = None, **_: Any) -> None:
    """What is sent cannot be taken back: who sent it is not to be repeated."""
    note_outside(f"message {sender}")
