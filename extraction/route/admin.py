"""What a running Envoy says of itself on its admin port."""

import http.client
from urllib.parse import quote

from extraction.route.errors import EnvoyAway


class Admin:
    """The admin port of an Envoy on this machine. Everything raises EnvoyAway when nobody answers."""

    def __init__(self, port: int, *, timeout_s: float = 5) -> None:
        self.port = port
        self.timeout_s = timeout_s

    def ready(self) -> bool:
        """Whether it takes requests; False also when nobody answers."""
        try:
            return self._get("/ready").strip() == "LIVE"
        except EnvoyAway:
            return False

    def stats(self, pattern: str) -> dict[str, str]:
        """Counters, gauges and texts by name, of those in whose name the regular expression is found."""
        lines = self._get(f"/stats?filter={quote(pattern)}").splitlines()
        return {name: value.strip('"') for name, _, value in (line.partition(": ") for line in lines) if value}

    def _get(self, path: str) -> str:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout_s)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise EnvoyAway(
                f"Envoy does not answer on 127.0.0.1:{self.port} ({error}); see its log, or start: manage.py up"
            ) from error
        finally:
            connection.close()
        return body
