"""The HTTP transport between two processes: inventory as a unit of its own, asked from this one."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import psutil
import pytest
from django.conf import settings
from django.db import connections
from uuid_utils.compat import uuid7

from contracts.inventory import Inventory, Line, UnknownProduct
from contracts.runtime import NotOfContract, Remote, Unavailable, configure, use
from contracts.runtime.configuration import configuration
from contracts.runtime.http import client
from contracts.runtime.http.deadline import within
from contracts.runtime.tokens import new_key, sign
from contracts.users import Users
from extraction.platform.local.ports import free_port

pytestmark = [
    pytest.mark.django_db(transaction=True, databases="__all__"),
    pytest.mark.skipif("inventory" not in settings.MODULES, reason="inventory is not in this unit"),
]


@dataclass
class Service:
    process: subprocess.Popen[bytes]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def post(self, path: str, body: bytes = b"{}", /, **headers: str) -> httpx2.Response:
        return httpx2.post(f"{self.url}/internal/contracts/{path}", content=body, headers=headers, trust_env=False)


@contextmanager
def serving() -> Iterator[Service]:
    """Inventory alone, behind gunicorn, on the same database as its own role."""
    port = free_port()
    environment = {**os.environ, "SHOP_UNIT": "inventory", "SHOP_MODULES": "inventory"}
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "shop.wsgi",
        "--bind",
        f"127.0.0.1:{port}",
        "--workers",
        "2",
        "--threads",
        "4",
    ]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    try:
        _wait(port, process)
        yield Service(process, port)
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5, trust_env=False)
            return
        except httpx2.TransportError:
            if process.poll() is not None and process.stderr is not None:
                pytest.fail(process.stderr.read().decode())
            time.sleep(0.1)
    pytest.fail("the service did not start in 60 s")


def _wait_until_forgotten() -> None:
    """The server ends what a killed process has asked for only when it notices; emptying the tables would meet it."""
    end = time.monotonic() + 30
    with connections["inventory"].cursor() as cursor:
        while True:
            cursor.execute(
                "select count(*) from pg_stat_activity"
                " where application_name = 'inventory:inventory' and state is distinct from 'idle'"
            )
            if cursor.fetchone()[0] == 0:
                return
            assert time.monotonic() < end, "what the killed service asked for still runs after 30 s"
            time.sleep(0.02)


@contextmanager
def asked_remotely(service: Service) -> Iterator[Service]:
    """This process asks the service for every inventory call."""
    before = configuration.resolve
    client._breaker.cache_clear()
    configure(resolve={"inventory": Remote("inventory", service.url)}.get)
    try:
        yield service
    finally:
        configure(resolve=before)
        client._breaker.cache_clear()


@pytest.fixture(scope="module")
def service(django_db_setup: None) -> Iterator[Service]:
    with serving() as service:
        yield service


@pytest.fixture
def remote(service: Service) -> Iterator[Service]:
    with asked_remotely(service) as remote:
        yield remote


@pytest.fixture
def mortal(transactional_db: None) -> Iterator[Service]:
    """A service that a test may kill."""
    with serving() as service, asked_remotely(service) as remote:
        yield remote
    _wait_until_forgotten()


def plant(sku: str) -> None:
    from modules.inventory.models import Product, Stock

    product = Product.objects.create(sku=sku, name='Lämp\'s "№1"', category="light", price_cents=1999)
    Stock.objects.create(product=product, received=10, on_hand=7)


def bearer(**changes: str) -> str:
    assert settings.SERVICE_SIGNING_KEY is not None
    audience = changes.get("audience", "inventory")
    return f"Bearer {sign({'iss': 'monolith'}, settings.SERVICE_SIGNING_KEY, audience=audience, valid_s=60)}"


def test_a_caller_without_time_says_nothing_of_the_unit_to_others(remote: Service) -> None:
    for _ in range(6):
        with within(-1), pytest.raises(Unavailable, match="deadline has passed"):
            use(Inventory).categories()
    with pytest.raises(UnknownProduct):
        use(Inventory).quote(lines=(Line(sku="NONE", quantity=1),))


def test_a_call_is_answered_by_the_other_process(remote: Service) -> None:
    plant("LAMP-1")
    quote = use(Inventory).quote(lines=(Line(sku="LAMP-1", quantity=3),))
    assert (quote.total_cents, quote.lines[0].name) == (5997, 'Lämp\'s "№1"')
    assert use(Inventory).holding(order_id=uuid7()) is None


def test_a_declared_error_crosses_as_itself(remote: Service) -> None:
    with pytest.raises(UnknownProduct) as caught:
        use(Inventory).quote(lines=(Line(sku="nope", quantity=1),))
    assert caught.value.sku == "nope"


def test_arguments_are_refused_before_anything_is_sent(remote: Service) -> None:
    with pytest.raises(NotOfContract):
        use(Inventory).quote(lines=object())  # type: ignore[arg-type]


def test_only_a_unit_with_a_valid_token_is_answered(service: Service) -> None:
    call = "inventory/stock_differences"
    assert service.post(call).status_code == 401
    assert service.post(call, authorization="Bearer nonsense").status_code == 401
    assert service.post(call, authorization=bearer(audience="payments")).status_code == 401
    stranger = sign({"iss": "monolith"}, new_key("stranger"), audience="inventory", valid_s=60)
    assert service.post(call, authorization=f"Bearer {stranger}").status_code == 401
    assert settings.SERVICE_SIGNING_KEY is not None
    expired = sign({"iss": "monolith"}, settings.SERVICE_SIGNING_KEY, audience="inventory", valid_s=-60)
    assert service.post(call, authorization=f"Bearer {expired}").status_code == 401
    assert service.post(call, authorization=bearer()).status_code == 200


def test_a_malformed_call_is_told_what_is_wrong(service: Service) -> None:
    token = bearer()
    assert "lines" in service.post("inventory/quote", b"{}", authorization=token).text
    assert service.post("inventory/quote", b"{", authorization=token).status_code == 400
    assert service.post("inventory/nothing", authorization=token).status_code == 404
    assert service.post("orders/facts", authorization=bearer(audience="orders")).status_code == 404
    late = service.post("inventory/stock_differences", b"{}", **{"authorization": token, "x-deadline-ms": "0"})
    assert late.status_code == 503


def test_a_service_that_is_gone_is_unavailable_and_soon_not_asked_any_more(mortal: Service) -> None:
    os.killpg(mortal.process.pid, signal.SIGKILL)
    mortal.process.wait()
    for _ in range(4):
        with pytest.raises(Unavailable, match="ConnectError"):
            use(Inventory).stock_differences()
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(Unavailable):
            use(Inventory).stock_differences()
    with pytest.raises(Unavailable, match="not asked again yet"):
        use(Inventory).stock_differences()
    assert time.monotonic() - began < 2


def test_a_service_that_hangs_costs_the_caller_no_more_than_the_deadline(mortal: Service) -> None:
    use(Inventory).stock_differences()
    os.killpg(mortal.process.pid, signal.SIGSTOP)
    began = time.monotonic()

    def ask(_: int) -> None:
        with pytest.raises(Unavailable):
            use(Inventory).stock_differences()

    with ThreadPoolExecutor(4) as threads:  # beside each other, not one behind the other
        list(threads.map(ask, range(4)))
    assert time.monotonic() - began < configuration.call_timeout_s + 1
    os.killpg(mortal.process.pid, signal.SIGCONT)
    assert use(Inventory).stock_differences() == ()


def test_a_read_survives_a_connection_that_breaks(mortal: Service) -> None:
    """The kept-alive connection is gone when the next call is made: it is asked again on a new one."""
    use(Inventory).stock_differences()
    for child in psutil.Process(mortal.process.pid).children():
        sockets = child.net_connections(kind="tcp4")
        if any(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == mortal.port for one in sockets):
            child.kill()
    assert use(Inventory).stock_differences() == ()


@pytest.fixture
def silent_users() -> Iterator[list[str]]:
    """Users at an address that takes each call and hangs up without an answer. The calls that it took."""
    taken: list[str] = []

    class HangUp(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.append(self.path.rpartition("/")[2])
            self.close_connection = True

    before = configuration.resolve
    with ThreadingHTTPServer(("127.0.0.1", 0), HangUp) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        configure(resolve={"users": Remote("silent-users", f"http://127.0.0.1:{server.server_port}")}.get)
        yield taken
        configure(resolve=before)
        server.shutdown()
        thread.join()


def test_a_sign_in_whose_answer_is_lost_is_not_sent_again_for_a_failure_counts(silent_users: list[str]) -> None:
    with pytest.raises(Unavailable):
        use(Users).sign_in(email="ann@example.com", password="wrong")
    assert silent_users == ["sign_in"]
    with pytest.raises(Unavailable):
        use(Users).customer(customer_id=uuid7())
    assert silent_users == ["sign_in", *["customer"] * client.ATTEMPTS]


def test_the_service_has_no_other_module(service: Service) -> None:
    assert httpx2.get(f"{service.url}/api/orders/", trust_env=False).status_code == 404
    name = secrets.token_hex(4)
    assert httpx2.get(f"{service.url}/api/inventory/{name}/", trust_env=False).status_code == 404
