"""The stream that leads to the home, made anew.

It carries nothing: all that the other side has came from the home. So one that has lost what it would need is taken
away, and begins again without a copy.
"""

from pathlib import Path
from typing import Any

from psycopg import Connection

from extraction.platform.database import connect
from extraction.queries import Queries
from extraction.replicate.errors import NotHome
from extraction.replicate.pair import Pair, Stream
from extraction.replicate.queries import replicate
from extraction.replicate.subscriptions import drop_subscription

_queries = Queries(Path(__file__).with_name("renewing.sql"))


def is_lost(stream: Stream) -> bool:
    """Whether its subscription, its slot, or what that was to keep, is gone. Raises ServerUnreachable."""
    with connect(stream.publisher.url) as publisher, connect(stream.subscriber.url) as subscriber:
        found = subscriber.execute(replicate("subscription"), {"subscription": stream.name}).fetchone()
        return found is None or not _is_usable(stream, publisher)


def part_lost_stream(pair: Pair, stream: Stream) -> bool:
    """Take its subscription away where its slot is gone or lost, for who makes both again.

    Raises NotHome where the module does not live where it leads to on both sides, ServerUnreachable.
    """
    with connect(stream.publisher.url) as publisher, connect(stream.subscriber.url) as subscriber:
        found = subscriber.execute(replicate("subscription"), {"subscription": stream.name}).fetchone()
        if found is None or _is_usable(stream, publisher):
            return False
        require_leads_home(pair, stream, publisher, subscriber)
        drop_subscription(stream, subscriber)
    return True


def require_leads_home(pair: Pair, stream: Stream, publisher: Connection[Any], subscriber: Connection[Any]) -> None:
    """The row came last: where both sides have it, all that the publisher wrote as home has arrived. Raises NotHome."""
    said = [admin.execute(pair.objects.query("read")).fetchone() for admin in (subscriber, publisher)]
    if said[0] != said[1] or said[0] is None or said[0][0] != stream.subscriber.unit:
        raise NotHome(
            f"the stream from {stream.publisher.unit} to {stream.subscriber.unit} is lost, and the rows of "
            f"{pair.module} say {said[0]} and {said[1]}: what {stream.publisher.unit} wrote may not have arrived; see: "
            f"manage.py extract status {pair.module}"
        )


def _is_usable(stream: Stream, publisher: Connection[Any]) -> bool:
    return publisher.execute(_queries("is_usable"), {"slot": stream.name}).fetchone() == (True,)
