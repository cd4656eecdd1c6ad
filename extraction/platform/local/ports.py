"""Free TCP ports that stay free."""

import errno
import os
import random
import socket

import psutil

from extraction.platform.errors import BadAddress, PortTaken

ANY = {"": "0.0.0.0", "0.0.0.0": "0.0.0.0", "::": "::"}  # noqa: S104


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


def own_address(host: str, *, flag: str = "--host") -> str:
    """The IP address that this name or address of this machine means. Raises BadAddress."""
    if host in ANY:
        return ANY[host]
    try:
        address = str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError as error:
        why = (
            "is not an address of this machine" if error.errno == errno.EADDRNOTAVAIL else f"is none: {error.strerror}"
        )
        raise BadAddress(f"{host!r} {why}; leave it out, or give one of its own: {flag} 127.0.0.1") from None
    return address


def check_number(port: int, *, flag: str = "--port") -> None:
    """Raise BadAddress for what is no port; 0 stands for a free one."""
    if not 0 <= port < 65536:
        raise BadAddress(f"{port} is no port; they go from 1 to 65535, and 0 takes a free one: {flag} 0")


def check_port(port: int, host: str = "127.0.0.1", *, flag: str = "--port") -> None:
    """Raise PortTaken, naming who listens there if this user may know it."""
    if not is_free(port, host):
        what = "is for the system, or taken" if port < 1024 and os.geteuid() else f"is taken{_listener(port)}"
        raise PortTaken(f"port {port} {what}; end that, or choose another: {flag} {free_port(host)}")


def _listener(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:
        pass
    return ""
