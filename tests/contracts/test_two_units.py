"""Events between two units through the broker: real workers, one with orders and payments, one with inventory alone."""

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from celery import current_app
from django.conf import settings
from django.db import connections

from contracts.runtime import Remote, configure
from contracts.runtime.configuration import configuration
from contracts.runtime.dispatch import drain_key
from contracts.runtime.models import Delivery
from tests.contracts.conftest import publish_placed
from tests.contracts.workers import worker

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif(settings.MODULES != settings.ALL_MODULES, reason="needs all modules"),
]
RESERVE = "inventory.reserve_stock"


BROKERS = {"pgmq": os.environ.get("BROKER_URL", ""), "RabbitMQ": "amqp://guest:guest@127.0.0.1:5672//"}


@pytest.fixture(scope="module", params=BROKERS)
def inventory_is_elsewhere(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[None]:
    """This process publishes; two workers handle and acknowledge. Queues of their own, for RabbitMQ is shared."""
    broker, run = BROKERS[request.param], secrets.token_hex(3)
    if request.param == "RabbitMQ" and not answers(5672):
        pytest.skip("no RabbitMQ answers on 127.0.0.1:5672")
    before = configuration.resolve, configuration.unit, current_app.conf.broker_url
    configure(resolve={"inventory": Remote(f"inventory-{run}", "http://127.0.0.1:9")}.get, unit=f"monolith-{run}")
    use_broker(broker)
    others = ",".join(module for module in settings.ALL_MODULES if module != "inventory")
    with (
        worker(f"inventory-{run}", modules="inventory", broker=broker),
        worker(f"monolith-{run}", modules=others, broker=broker),
    ):
        yield
    with current_app.connection_for_write() as connection:
        for queue in (f"inventory-{run}", f"monolith-{run}"):
            connection.default_channel.queue_delete(queue)  # type: ignore[attr-defined]
    configure(resolve=before[0], unit=before[1])
    use_broker(before[2])


def use_broker(url: str) -> None:
    current_app.conf.broker_url = url  # type: ignore[misc]
    if not url.startswith("pgmq"):
        current_app.conf.broker_transport_options = {}
    current_app.close()
    current_app.amqp._producer_pool = None  # type: ignore[attr-defined]


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_for(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def state_of(order_id: UUID) -> Delivery:
    return Delivery.objects.using("orders").get(subscriber=RESERVE, key=str(order_id))


def inbox() -> int:
    with connections["inventory"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM inbox WHERE subscriber = %s", [RESERVE])
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("inventory_is_elsewhere")
def test_an_event_is_done_when_the_other_units_inbox_has_it() -> None:
    """Then the same event is sent again, as after a lost acknowledgement: it is acknowledged and has no effect."""
    order_id = publish_placed().order_id
    assert state_of(order_id).state == "pending"
    wait_for(lambda: state_of(order_id).state == "done")
    assert inbox() == 1
    delivery = state_of(order_id)
    Delivery.objects.using("orders").filter(id=delivery.id).update(state="pending", done_at=None)
    drain_key("orders", delivery.id)
    wait_for(lambda: state_of(order_id).state == "done")
    assert inbox() == 1


@pytest.mark.usefixtures("inventory_is_elsewhere")
def test_a_failure_in_the_other_unit_is_the_publishers_to_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("contracts.runtime.events.subscribers_of", lambda _: ("inventory.sell_stock",))
    order_id = publish_placed().order_id
    delivery = Delivery.objects.using("orders").filter(key=str(order_id))
    wait_for(lambda: "UnknownEvent" in delivery.get().last_error)
    assert delivery.get().state == "pending"
    assert delivery.get().attempts == 1
