"""A subscription is dropped though nobody reaches its publisher, whose slot stays there."""

import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import Connection, sql

from extraction.replicate.pair import Stream
from extraction.replicate.queries import replicate

POLL_S, WITHIN_S = 0.1, 5.0


def drop_subscription(stream: Stream, subscriber: Connection[Any]) -> None:
    """Drop it, unless it is not there. Raises psycopg.errors.ObjectInUse where its worker does not let go."""
    if subscriber.execute(replicate("subscription"), {"subscription": stream.name}).fetchone() is None:
        return
    name = sql.Identifier(stream.name)
    for query in ("disable_subscription", "part_subscription"):
        subscriber.execute(replicate(query, subscription=name))
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        with suppress(psycopg.errors.ObjectInUse):  # the worker lets go of its origin a moment later
            subscriber.execute(replicate("drop_subscription", subscription=name))
            return
        time.sleep(POLL_S)
    subscriber.execute(replicate("drop_subscription", subscription=name))
