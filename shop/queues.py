"""A unit's queues in the broker."""

import re

from kombu import Connection, Queue
from psycopg import sql

from extraction.platform.database import connect


def delete_queues(broker_url: str, unit: str) -> None:
    """Delete the unit's queues with whatever is in them, as far as they are there."""
    scheme, _, rest = broker_url.partition("://")
    if scheme == "pgmq":
        with connect(f"postgresql://{rest}") as connection:
            for (queue,) in connection.execute("select queue_name from pgmq.list_queues()").fetchall():
                if _is_of(queue, unit):
                    connection.execute(sql.SQL("select pgmq.drop_queue({})").format(sql.Literal(queue)))
    elif broker_url:
        with Connection(broker_url, connect_timeout=3) as broker:
            for queue in (unit, f"{unit}_errands"):
                Queue(queue, channel=broker.default_channel).delete()


def _is_of(queue: str, unit: str) -> bool:
    """A queue of tasks, or one by which a worker of the unit is asked how it does."""
    return re.fullmatch(rf"{re.escape(unit)}(_errands)?(_local(_b)?_celery_pidbox)?", queue) is not None
