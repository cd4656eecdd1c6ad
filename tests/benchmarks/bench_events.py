"""From published to handled, in process and through the broker: uv run pytest tests/benchmarks/bench_events.py -s"""

import statistics
import time

import psycopg
import pytest
from django.db import connections

from contracts.runtime import Remote, configure
from contracts.runtime.configuration import configuration
from extraction.platform.database import with_database
from tests.contracts.conftest import publish_placed
from tests.contracts.workers import worker

EVENTS = 300
LATENCY = """
  SELECT extract(epoch FROM inbox.handled_at - outbox.occurred_at) * 1000
  FROM inventory.inbox JOIN orders.outbox ON outbox.id = inbox.event_id
  WHERE inbox.subscriber = 'inventory.reserve_stock' ORDER BY 1"""


def latencies(admin_url: str) -> list[float]:
    with psycopg.connect(admin_url) as connection:
        return [float(row[0]) for row in connection.execute(LATENCY)]


def tell(name: str, values: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        p99 = values[int(len(values) * 0.99)]
        print(f"\n  {name:<20} {len(values)} events: median {statistics.median(values):.1f} ms, p99 {p99:.1f} ms")


def clear() -> None:
    for alias in ("orders", "inventory", "payments"):
        with connections[alias].cursor() as cursor:
            cursor.execute("TRUNCATE outbox, delivery, inbox")


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.timeout(300)
def test_event(server_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    admin_url = with_database(server_url, connections["default"].settings_dict["NAME"])
    clear()
    for _ in range(EVENTS):
        publish_placed()
    tell("in process", latencies(admin_url), capsys)

    clear()
    before = configuration.resolve
    configure(resolve={"inventory": Remote("inventory", "http://127.0.0.1:9")}.get)
    with worker("inventory", modules="inventory"):
        publish_placed()
        for _ in range(200):
            if latencies(admin_url):
                break
            time.sleep(0.1)
        clear()
        for _ in range(EVENTS):
            publish_placed()
            time.sleep(0.02)
        for _ in range(300):
            if len(latencies(admin_url)) == EVENTS:
                break
            time.sleep(0.1)
        tell("through the broker", latencies(admin_url), capsys)
    configure(resolve=before)
