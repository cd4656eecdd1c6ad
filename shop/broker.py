"""kombu's transport for pgmq, without DDL where there is nothing to make."""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, pgmq


class Channel(pgmq.Channel):
    """Makes a queue only where it is missing.

    The transport makes it again whenever a process sends to it first. That takes locks for which it waits until the
    worker's long poll of a second ends, and the orders of a new release waited with it.
    """

    def _new_queue(self, queue: str, **kwargs: Any) -> None:
        if not self._has_queue(queue):  # type: ignore[no-untyped-call]
            super()._new_queue(queue, **kwargs)  # type: ignore[no-untyped-call]


class Transport(pgmq.Transport):
    """Registered as `pgmq`."""

    Channel = Channel


TRANSPORT_ALIASES["pgmq"] = "shop.broker:Transport"
