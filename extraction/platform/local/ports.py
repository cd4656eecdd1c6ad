"""Free TCP ports that stay free."""

import random
import socket

import psutil

from extraction.platform.errors import PortTaken


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on, below the range that the kernel takes for outgoing connections.

    A port of that range can be taken by any client while a server restarts, even by one that is connecting to it.
    """
    candidates = random.sample(range(15_000, 32_000), 200)
    for port in candidates:
        if is_free(port, host):
            return port
    raise OSError(f"none of 200 ports on {host} is free")


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def check_port(port: int, host: str = "127.0.0.1", *, flag: str = "--port") -> None:
    """Raise PortTaken, naming who listens there if this user may know it."""
    if not is_free(port, host):
        raise PortTaken(f"port {port} is taken{_listener(port)}; end that, or choose another: {flag} {free_port(host)}")


def _listener(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
