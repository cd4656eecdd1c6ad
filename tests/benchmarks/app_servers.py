"""gunicorn against granian on this shop: uv run --with granian python -m tests.benchmarks.app_servers

Both serve the same shop at the same time, each with 2 processes of 8 threads; the load alternates between them, so that
noise meets both. One keep-alive connection for each of the 16 threads, closed loop.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psutil

ROUNDS, SECONDS, CONNECTIONS = 5, 4.0, 16
Make = Callable[[], bytes]


async def load(port: int, make: Make) -> tuple[list[float], int]:
    """Milliseconds of each answered request, and how many answers were not 200 to 299."""
    taken: list[float] = []
    refused = 0
    end = time.perf_counter() + SECONDS

    async def client() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < end:
            writer.write(make())
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
            taken.append((time.perf_counter() - began) * 1000)
            refused += not head.split()[1].startswith(b"2")
            if b"connection: close" in head:
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return taken, refused


def request(method: str, path: str, headers: str = "", body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
    import django

    django.setup()
    from extraction.platform.local.ports import free_port
    from extraction.platform.local.supervision import Process
    from shop.platform import Shop

    with tempfile.TemporaryDirectory(prefix="shop-bench-") as state, Shop(Path(state), port=0) as shop:
        ports = {"gunicorn": shop.web_port, "granian": free_port()}
        shop.add(
            Process(
                name="granian",
                command=(
                    *(sys.executable, "-m", "granian", "--interface", "wsgi", "--workers", "2"),
                    *("--blocking-threads", "8", "--port", str(ports["granian"]), "--no-ws", "--log-level", "warning"),
                    "shop.wsgi:application",
                ),
            )
        )
        steps = steps_of(shop.url)
        for port in ports.values():
            wait_for(port)
            for make in steps.values():
                asyncio.run(load(port, make))  # warm, not counted
        figures: dict[tuple[str, str], list[tuple[list[float], int]]] = {}
        for _ in range(ROUNDS):
            for step, make in steps.items():
                for server, port in ports.items():
                    figures.setdefault((step, server), []).append(asyncio.run(load(port, make)))
        for (step, server), rounds in figures.items():
            rates = [len(taken) / SECONDS for taken, _ in rounds]
            taken = sorted(one for round_, _ in rounds for one in round_)
            print(
                f"{step:10} {server:9} {statistics.median(rates):6.0f} requests/s"
                f"   p50 {statistics.median(taken):5.1f} ms   p99 {taken[int(len(taken) * 0.99)]:6.1f} ms"
                f"   not 2xx {sum(refused for _, refused in rounds)}"
            )
        for server, name in (("gunicorn", "web"), ("granian", "granian")):
            process = psutil.Process(shop.processes()[name])
            tree = [process, *process.children(recursive=True)]
            print(f"{server:9} {sum(one.memory_full_info().pss for one in tree) / 2**20:.0f} MB (PSS)")


def steps_of(url: str) -> dict[str, Make]:
    """A page of the catalogue, and an order of a signed-in customer under a new idempotency key."""
    page = json.loads(urllib.request.urlopen(f"{url}/api/inventory/").read())
    sku = max(page["products"], key=lambda product: product["available"])["sku"]
    credentials = json.dumps({"email": "customer-001@shop.example", "password": "demo"}).encode()
    login = urllib.request.Request(f"{url}/api/users/login/", credentials, {"Content-Type": "application/json"})
    token = json.loads(urllib.request.urlopen(login).read())["token"]
    order = json.dumps({"lines": [{"sku": sku, "quantity": 1}], "card": "tok_approve"}).encode()
    headers = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\nIdempotency-Key: "
    return {
        "catalogue": lambda: request("GET", "/api/inventory/"),
        "order": lambda: request("POST", "/api/orders/", f"{headers}{uuid4()}\r\n", order),
    }


def wait_for(port: int) -> None:
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").close()
            return
        except OSError:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
