from celery import shared_task

from modules.orders.service import order_expire_due


@shared_task(ignore_result=True)
def expire() -> None:
    """Cancel what hangs; beat sends this every few seconds."""
    order_expire_due()
