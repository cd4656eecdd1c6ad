"""The only code that speaks to the provider. Every task may run twice, also at once."""

from uuid import UUID

from celery import shared_task

from modules.payments import sandbox, service


@shared_task(ignore_result=True)
def charge(order_id: str) -> None:
    """Take the money for an order."""
    service.payment_charge(order_id=UUID(order_id))


@shared_task(ignore_result=True)
def stop(order_id: str) -> None:
    """Stop the charge of a cancelled order."""
    service.payment_stop(order_id=UUID(order_id))


@shared_task(ignore_result=True)
def refund(order_id: str) -> None:
    """Give the money of a cancelled order back."""
    service.payment_refund(order_id=UUID(order_id))


@shared_task(ignore_result=True)
def sweep() -> None:
    """Send again what is due; beat sends this every few seconds."""
    service.payment_sweep()


@shared_task(ignore_result=True)
def send_sandbox_callbacks() -> None:
    """Let the sandbox company send its callbacks; beat sends this every second."""
    sandbox.send_callbacks()
