"""What a process that sends its first message does to the broker's database."""

import os
import secrets
import threading

import pytest
from kombu import Connection, Queue

from extraction.platform.database import connect
from shop import broker

pytestmark = pytest.mark.django_db


def send(queue: str) -> None:
    options = {"init_extension": False, "conn_string": url()}
    with Connection(os.environ["BROKER_URL"], transport_options=options) as connection:
        assert isinstance(connection.transport, broker.Transport)
        target = Queue(queue)
        connection.Producer().publish({}, routing_key=queue, declare=[target])


def url() -> str:
    return os.environ["BROKER_URL"].replace("pgmq:", "postgresql:", 1)


def test_the_first_message_of_a_process_does_not_wait_for_a_worker_that_polls() -> None:
    queue = f"polled_{secrets.token_hex(4)}"
    send(queue)
    with connect(url()) as worker, worker.transaction():
        worker.execute("select * from pgmq.read(%s, 0, 1)", (queue,))  # a long poll holds this lock for its second
        another = threading.Thread(target=send, args=(queue,), daemon=True)
        another.start()
        another.join(timeout=10)
        assert not another.is_alive(), "it waits for the end of the poll"
