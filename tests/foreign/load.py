"""People at the pages of a project and a program at its tables, while a module moves; each write is kept in mind."""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from urllib.parse import urlencode

import psycopg

TOKEN = "a" * 32
"""The same in the cookie and in the form, which is all that Django asks of it."""
ADD = "/admin/payments/subscription/add/"
READS = ("/pricing/", "/admin/payments/subscription/?o=-1", "/accounts/profile/billing/")


@dataclass
class Load:
    """Eight at most at a time; ends with the block."""

    address: str
    session: str
    urls: list[str]
    """Of the database of the module on either side, the home of now first."""
    users: Iterator[int]
    """Each has no subscription."""
    pages: set[str] = field(default_factory=set)
    """Plan names that the pages acknowledged."""
    rows: set[str] = field(default_factory=set)
    """Plan names that the database acknowledged to the program."""
    unclear: set[str] = field(default_factory=set)
    """Whether they were written nobody was told."""
    statuses: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    slowest_ms: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    """What the fence told the program, which then tried again, by SQLSTATE."""

    def __post_init__(self) -> None:
        self._is_over = threading.Event()
        self._lock = threading.Lock()
        self._numbers = count(1)
        parts: list[Callable[[], None]] = [self._read, self._read, self._write, self._write, self._program]
        self._threads = [threading.Thread(target=part, daemon=True) for part in parts]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(timeout=60)

    @property
    def requests(self) -> int:
        return sum(self.statuses.values())

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and where it redirects to; 0 when nobody answered."""
        headers = {"Cookie": f"sessionid={self.session}; csrftoken={TOKEN}", "Host": self.address}
        body = None
        if form is not None:
            body = urlencode({"csrfmiddlewaretoken": TOKEN, **form})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = http.client.HTTPConnection(self.address, timeout=30)
        began = time.perf_counter()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            found = response.status, response.headers.get("Location", "")
        except (OSError, http.client.HTTPException) as error:
            found = 0, type(error).__name__
        finally:
            connection.close()
        took_ms = (time.perf_counter() - began) * 1000
        with self._lock:
            self.slowest_ms = max(self.slowest_ms, took_ms)
            self.statuses[f"{method} {found[0]}"] += 1
        return found

    def _read(self) -> None:
        for number in count():
            if self._is_over.wait(0.05):
                return
            path = READS[number % len(READS)]
            status, _ = self.ask("GET", path)
            if status != 200:
                self.failed.append(f"GET {path}: {status}")

    def _write(self) -> None:
        while not self._is_over.wait(0.1):
            with self._lock:
                name, user = f"page {next(self._numbers)}", next(self.users)
            form = {"user": str(user), "plan_name": name, "send_invoices": "on"}
            status, where = self.ask("POST", ADD, form)
            if status == 302 and where.endswith("/subscription/"):
                self.pages.add(name)
            else:
                self.failed.append(f"POST {ADD}: {status} {where}")
                self.unclear.add(name)

    def _program(self) -> None:
        """Knows two databases and asks the other one when it is told that the module moved."""
        while not self._is_over.wait(0.02):
            with self._lock:
                name, user = f"row {next(self._numbers)}", next(self.users)
            while not self._insert(name, user):
                time.sleep(0.005)

    def _insert(self, name: str, user: int) -> bool:
        """Whether it is done, or nobody knows."""
        try:
            with psycopg.connect(self.urls[0], autocommit=True) as connection:
                connection.execute(
                    """insert into payments_subscription (user_id, plan_name, customer_id, payment_method_token,
                         subscription_id, plan_id, address_id, send_invoices, invoice_email)
                       values (%s, %s, '', '', '', '', '', true, '')""",
                    (user, name),
                )
        except psycopg.DatabaseError as error:
            if error.sqlstate in ("MV001", "MV002"):
                self.refused[error.sqlstate] += 1
                if error.sqlstate == "MV001":
                    self.urls.reverse()
                return False
            self.unclear.add(name)
            self.failed.append(f"INSERT: {error}")
            return True
        self.rows.add(name)
        return True
