"""Units as small as they can be: real HTTP servers whose answers a test chooses."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from extraction.platform.local.ports import free_port
from extraction.route.model import Endpoint


@dataclass(frozen=True)
class Request:
    """What a unit was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What a unit answers, or the edge."""

    code: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def served_by(self) -> str:
        return self.headers.get("x-served-by", "")


def moved_to(host: str) -> Callable[[Request], Answer]:
    """Refuse as a unit does that is not home."""
    return lambda request: Answer(307, {"location": f"http://{host}{request.path}"})


def fine(request: Request) -> Answer:
    return Answer(200, {}, json.dumps({"host": request.headers.get("host"), "bytes": len(request.body)}).encode())


def failing(request: Request) -> Answer:
    return Answer(500, {}, b"a traceback")


class Vanish(Exception):
    """Raised by a unit's answer: the connection ends without one."""


def vanish(request: Request) -> Answer:
    raise Vanish


class Unit:
    """A unit that answers with `answer` and remembers what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: Callable[[Request], Answer] = fine
        self.asked: list[Request] = []
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self._server.server_address[1])

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        unit = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body)
                unit.asked.append(request)
                try:
                    answer = unit.answer(request)
                    self.send_response(answer.code)
                    for name, value in answer.headers.items():
                        self.send_header(name, value)
                    self.send_header("x-served-by", unit.name)
                    self.send_header("content-length", str(len(answer.body)))
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(answer.body)
                except (OSError, Vanish):
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = respond

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """A test that breaks a connection knows it."""


@contextmanager
def connected(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """One request; underscores in the names of headers are written as dashes."""
    with connected(port) as connection:
        return ask_on(connection, method, path, body, **headers)


def ask_on(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> Answer:
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def nobody() -> Endpoint:
    """Where nobody listens."""
    return Endpoint("127.0.0.1", free_port())
