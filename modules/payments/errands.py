"""Tasks that ask the provider, sent by name once the payment is committed. Best effort: the sweep sends them again."""

import time
from functools import partial
from uuid import UUID

import structlog
from celery import current_app
from django.db import transaction as django_transaction

log = structlog.get_logger(__name__)

BROKER_LEFT_ALONE_S = 5.0
"""After a failure nothing is sent for so long, so that a broker that is away costs one request its timeout, not all."""

_not_before = 0.0


def send_after_commit(errand: str, *, order_id: UUID) -> None:
    """Send a task of modules/payments/tasks.py for this order when the open transaction commits."""
    django_transaction.on_commit(partial(send, errand, order_id=order_id), using="payments", robust=True)


def send(errand: str, *, order_id: UUID) -> bool:
    """Send a task now. False when the broker does not take it; it stays due."""
    global _not_before
    if time.monotonic() < _not_before:
        return False
    try:
        current_app.send_task(f"modules.payments.tasks.{errand}", kwargs={"order_id": str(order_id)}, retry=False)
    except Exception as error:  # each transport has errors of its own, and none may undo what is committed
        _not_before = time.monotonic() + BROKER_LEFT_ALONE_S
        log.warning("task not sent", errand=errand, order=str(order_id), error=f"{type(error).__name__}: {error}")
        return False
    return True
