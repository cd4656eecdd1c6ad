import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import beat_embedded_init, worker_init

from extraction.platform.local.tether import end_with_parent

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def wait_for_databases(**_: Any) -> None:
    """Take work only when the databases are ready for this code."""
    if marker := os.environ.get("SHOP_WAIT_FOR"):
        while not Path(marker).exists():
            time.sleep(0.02)


@beat_embedded_init.connect
def end_with_worker(**_: Any) -> None:
    """The pool's processes notice that their worker was killed; beat would go on beside the next one's."""
    end_with_parent(signal.SIGKILL)
