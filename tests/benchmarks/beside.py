"""Nine reads and a receipt of goods at a fixed rate, beside the customers of a load: cheap for hundreds a second.

    python -m tests.benchmarks.beside --url http://127.0.0.1:8000 --rate 190 --out /tmp

An open loop: requests are due evenly, each is sent by the first sender that is free, and latency counts from the due
moment. Writes beside.jsonl into --out. Ends when standard input closes; what is under way is waited for.
"""

import argparse
import http.client
import itertools
import json
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from shop.tour.samples import Sample

SAMPLES = "beside.jsonl"
SENDERS = 16
TIMEOUT_S = 10.0
READ = "/api/inventory/?limit=5"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    closed = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        closed.set()

    threading.Thread(target=wait, daemon=True).start()
    with (options.out / SAMPLES).open("wb") as out:
        send(options.url, options.rate, closed, out.write)


def send(url: str, rate: float, ended: threading.Event, write: Callable[[bytes], object]) -> None:
    """Send until `ended` is set; `write` gets a line of JSON for each request."""
    address = urlsplit(url).netloc
    token = _login(address)
    stock = _ask(http.client.HTTPConnection(address, timeout=TIMEOUT_S), "GET", READ)[1]
    found = re.search(rb'"sku":\s*"([^"]+)"', stock)
    if found is None:
        raise SystemExit("the shop has no goods; run: manage.py seed")
    sku = found[1].decode()
    due: SimpleQueue[tuple[int, float] | None] = SimpleQueue()
    begun, begun_at = time.monotonic(), datetime.now(UTC)
    lock = threading.Lock()

    def sender() -> None:
        connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
        while (given := due.get()) is not None:
            number, at_s = given
            time.sleep(max(0.0, begun + at_s - time.monotonic()))
            sent, is_write = time.monotonic(), number % 10 == 9
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid4())}
            status: int | None = None
            problem = ""
            try:
                if is_write:
                    status, _ = _ask(connection, "POST", f"/api/inventory/{sku}/receive/", {"quantity": 1}, headers)
                else:
                    status, _ = _ask(connection, "GET", f"/api/inventory/{sku}/")
                problem = "" if 200 <= status < 300 else f"HTTP {status}"
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                problem = f"{type(error).__name__}: {error}"
            now = time.monotonic()
            sample = Sample(
                at_s=at_s,
                due_at=begun_at + timedelta(seconds=at_s),
                step="receipt" if is_write else "stock",
                latency_ms=(now - begun - at_s) * 1000,
                service_ms=(now - sent) * 1000,
                status=status,
                problem=problem,
            )
            with lock:
                write(msgspec.json.encode(sample) + b"\n")

    senders = [threading.Thread(target=sender) for _ in range(SENDERS)]
    for thread in senders:
        thread.start()
    for number in itertools.count():
        at_s = number / rate
        if ended.wait(max(0.0, begun + at_s - 0.05 - time.monotonic())):
            break
        due.put((number, at_s))
    for _ in senders:
        due.put(None)
    for thread in senders:
        thread.join()


def _login(address: str) -> str:
    login = {"email": "staff@shop.example", "password": "demo"}
    connection = http.client.HTTPConnection(address, timeout=TIMEOUT_S)
    return str(json.loads(_ask(connection, "POST", "/api/users/login/", login)[1])["token"])


def _ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    if body is None:
        connection.request(method, path)
    else:
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json", **(headers or {})})
    answer = connection.getresponse()
    return answer.status, answer.read()


if __name__ == "__main__":
    main()
