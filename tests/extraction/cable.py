"""A cable between the coordinator and a database, which is cut once at the moment that a test names."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit, urlunsplit

from extraction.replicate.pair import Side


class Cable:
    """Forwards bytes to the side's server; cuts before it forwards `cut_before`, or once `cut_after` is answered."""

    def __init__(self, side: Side, *, cut_before: bytes = b"", cut_after: bytes = b"") -> None:
        self._parts, self._unit = urlsplit(side.url), side.unit
        self._before, self._after = cut_before, cut_after
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.was_cut = threading.Event()

    @property
    def side(self) -> Side:
        """The same database at the end of this cable."""
        login = self._parts.netloc.rpartition("@")[0]
        port = self._listening.getsockname()[1]
        return Side(self._unit, urlunsplit(self._parts._replace(netloc=f"{login}@127.0.0.1:{port}")))

    def __enter__(self) -> "Cable":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection((self._parts.hostname or "", self._parts.port or 0))
                answered = threading.Event()
                threading.Thread(target=self._send, args=(client, server, answered), daemon=True).start()
                threading.Thread(target=self._answer, args=(client, server, answered), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket, cut_at_answer: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._before and self._before in data and not self.was_cut.is_set():
                    self.was_cut.set()
                    break
                if self._after and self._after in data and not self.was_cut.is_set():
                    cut_at_answer.set()
                server.sendall(data)
        _end(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, cut_at_answer: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if cut_at_answer.is_set():
                    self.was_cut.set()
                    break
                client.sendall(data)
        _end(client, server)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
