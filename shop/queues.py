"""A unit's queues in the broker."""

import re
from typing import Any

import psycopg
from kombu import Connection, Queue
from psycopg import sql
from psycopg.types.json import Jsonb

from extraction.platform.database import connect


def move_tasks(broker_url: str, unit: str, *, to: str) -> int:
    """What waits in the unit's queues goes to the same ones of the other, which sends on what is not for it. Not what
    beat sent, for the other has a beat of its own. The unit's workers have ended. Returns how many tasks."""
    scheme, _, rest = broker_url.partition("://")
    names = [(unit, to), (f"{unit}_errands", f"{to}_errands")]
    if scheme == "pgmq":
        with connect(f"postgresql://{rest}") as connection:
            return sum(_move(connection, here, there) for here, there in names)
    if not broker_url:
        return 0
    with Connection(broker_url, connect_timeout=3) as broker:
        return sum(_hand_over(broker, here, there) for here, there in names)


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


def waiting_of(broker_url: str, unit: str, module: str) -> int | None:
    """Tasks of the module in the unit's queues, also those that run or wait for their time; not those of beat, which
    sends them again and again. None for a broker that shows only what it has not handed out."""
    scheme, _, rest = broker_url.partition("://")
    if scheme != "pgmq":
        return None
    count = 0
    with connect(f"postgresql://{rest}") as connection:
        for (queue,) in connection.execute("select queue_name from pgmq.list_queues()").fetchall():
            if queue in (unit, f"{unit}_errands"):
                headers = sql.SQL("select message -> 'headers' from {}").format(sql.Identifier("pgmq", f"q_{queue}"))
                found = [header or {} for (header,) in connection.execute(headers).fetchall()]
                count += sum(_concerns(header, module) for header in found if not header.get(_OF_BEAT))
    return count


_OF_BEAT = "celery_beat_task"
"""The header of what beat sent."""


def _move(connection: psycopg.Connection[Any], here: str, there: str) -> int:
    """Also what a worker that ended had not given back yet."""
    queues = {name for (name,) in connection.execute("select queue_name from pgmq.list_queues()").fetchall()}
    if here not in queues:
        return 0
    if there not in queues:
        connection.execute("select pgmq.create(%s)", [there])
    table, moved = sql.Identifier("pgmq", f"q_{here}"), 0
    with connection.transaction():
        taken = connection.execute(sql.SQL("delete from {} returning msg_id, message").format(table)).fetchall()
        for _, message in sorted(taken, key=lambda row: int(row[0])):
            if not (message.get("headers") or {}).get(_OF_BEAT):
                message["properties"]["delivery_info"]["routing_key"] = there
                connection.execute("select pgmq.send(%s, %s)", [there, Jsonb(message)])
                moved += 1
    return moved


def _hand_over(broker: Connection, here: str, there: str) -> int:
    """One after the other; one that is killed in between is in both queues."""
    channel, moved = broker.default_channel, 0
    from_queue, producer = Queue(here, channel=channel), broker.Producer()
    from_queue.declare()
    Queue(there, channel=channel).declare()
    while (message := from_queue.get()) is not None:
        if not message.headers.get(_OF_BEAT):
            kept: dict[str, Any] = {
                name: message.properties.get(name) for name in ("correlation_id", "reply_to", "priority")
            }
            producer.publish(
                message.body,
                routing_key=there,
                headers=message.headers,
                content_type=message.content_type,
                content_encoding=message.content_encoding,
                **{name: value for name, value in kept.items() if value is not None},
            )
            moved += 1
        message.ack()
    return moved


def _concerns(header: dict[str, Any], module: str) -> bool:
    """Its own tasks, events that it hears, and what became of its own."""
    task, about = str(header.get("task", "")), str(header.get("kwargsrepr", ""))
    if task == "contracts.runtime.tasks.receive":
        return f"'subscriber': '{module}." in about
    if task in ("contracts.runtime.tasks.acknowledge", "contracts.runtime.tasks.resume"):
        return f"'publisher': '{module}'" in about
    return task.startswith(f"modules.{module}.tasks.")


def _is_of(queue: str, unit: str) -> bool:
    """A queue of tasks, or one by which a worker of the unit is asked how it does."""
    return re.fullmatch(rf"{re.escape(unit)}(_errands)?(_local(_b)?_celery_pidbox)?", queue) is not None
