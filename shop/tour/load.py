"""Sends the requests of a town of customers at a fixed rate, whether or not the shop keeps up.

    python -m shop.tour.load --url http://127.0.0.1:8000 --rate 50 --seconds 60 --seed 1 --out var/report

An open loop: requests are due at the moments of a Poisson process. Each goes to the customer who has been ready for
the next step longest, or to a new one who comes by; nobody waits for the shop before the next request is due, and
latency counts from the due moment. So a pause of the shop shows in full in every request that was due in it.

Each visit keeps the cookies that the shop sets, as a browser does, and shares them with nobody.

Its own process, so that neither display nor plots take its time. Writes ledger.jsonl and requests.jsonl into --out
and a line of progress to standard output twice a second. Ends after --seconds, where they are given, on SIGTERM, or
when standard input closes, which is when its parent is gone; requests on their way are waited for, and lost answers
asked for again.
"""

import argparse
import asyncio
import heapq
import math
import os
import random
import signal
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.cookiejar import CookieJar, DefaultCookiePolicy
from http.cookies import CookieError, SimpleCookie
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import httpx2
import msgspec

from shop.tour.journeys import Answer, Ask, Customer, Journey, RequestFailed, Town, Unexpected, visit
from shop.tour.ledger import Ledger
from shop.tour.samples import Sample, percentile

LEDGER = "ledger.jsonl"
REQUESTS = "requests.jsonl"
TIMEOUT_S = 10.0
PROGRESS_EVERY_S = 0.5
RECENT_S = 5.0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How the load stands. Rate and p95 are of the last five seconds."""

    at_s: float
    requests: int
    failed: int
    in_flight: int
    rate_per_s: float
    p95_ms: float
    placed: int
    confirmed: int
    cancelled: int
    acknowledged: int
    received: int = 0
    last_problem: str = ""


@dataclass
class _Visit:
    """A journey and the cookies of its browser, by name."""

    journey: Journey
    cookies: dict[str, str] = field(default_factory=dict)


@dataclass(order=True)
class _Ready:
    """A visit and its next request, in order of the moment at which the customer is ready."""

    at: float
    number: int
    visit: _Visit = field(compare=False)
    ask: Ask = field(compare=False)


@dataclass(frozen=True)
class _Answered:
    """What came back. `problem` is empty when it is the answer that the journey expects."""

    status: int | None
    problem: str = ""
    body: Any = None
    is_ambiguous: bool = False
    served_by: str = ""


class Load:
    """An open loop of requests."""

    def __init__(self, client: httpx2.AsyncClient, town: Town, samples: BinaryIO) -> None:
        self.client, self.town, self.samples = client, town, samples
        self.loop = asyncio.get_running_loop()
        self.begun = self.loop.time()
        self.begun_at = datetime.now(UTC)
        self.stopped = asyncio.Event()
        self.ready: list[_Ready] = []
        self.numbers = count()
        self.under_way: set[asyncio.Task[None]] = set()
        self.requests = self.failed = 0
        self.last_problem = ""
        self.recent: deque[tuple[float, float]] = deque()

    async def run(self, arrivals: random.Random, *, rate: float, seconds: float) -> None:
        """Send requests until the time is over or `stopped` is set, then wait for what is under way."""
        due, end = self.begun, self.begun + seconds
        while due < end and not self.stopped.is_set():
            await self._until(due)
            if self.stopped.is_set():
                break
            self._send_one(due)
            due += arrivals.expovariate(rate)
        await self._finish()

    def progress(self) -> Progress:
        now = self.loop.time()
        while self.recent and self.recent[0][0] < now - RECENT_S:
            self.recent.popleft()
        window_s = min(RECENT_S, max(now - self.begun, 0.001))
        latencies = sorted(latency for _, latency in self.recent)
        return Progress(
            at_s=round(now - self.begun, 2),
            requests=self.requests,
            failed=self.failed,
            in_flight=len(self.under_way),
            rate_per_s=round(len(latencies) / window_s, 1),
            p95_ms=round(percentile(latencies, 95), 1) if latencies else 0.0,
            placed=self.town.tally["placed"],
            confirmed=self.town.tally["confirmed"],
            cancelled=self.town.tally["cancelled"],
            acknowledged=self.town.tally["acknowledged"],
            received=self.town.tally["received"],
            last_problem=self.last_problem,
        )

    async def _until(self, moment: float) -> None:
        pause_s = moment - self.loop.time()
        if pause_s > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), pause_s)

    def _send_one(self, due: float) -> None:
        if self.ready and self.ready[0].at <= due:
            next_in_line = heapq.heappop(self.ready)
            self._start(next_in_line.visit, next_in_line.ask, due)
            return
        journey = visit(self.town)
        while (ask := next(journey, None)) is None:  # nothing to do after all
            journey = visit(self.town)
        self._start(_Visit(journey), ask, due)

    async def _finish(self) -> None:
        while True:
            self.ready = [item for item in self.ready if item.ask.is_again]
            heapq.heapify(self.ready)
            if self.under_way:
                await asyncio.wait(self.under_way, timeout=0.1)
            elif not self.ready:
                return
            else:
                await asyncio.sleep(0.05)
            while self.ready and self.ready[0].at <= self.loop.time():
                self._send_one(self.loop.time())

    def _start(self, visit: _Visit, ask: Ask, due: float) -> None:
        task = self.loop.create_task(self._step(visit, ask, due))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _step(self, visit: _Visit, ask: Ask, due: float) -> None:
        sent = self.loop.time()
        got = await self._ask(ask, visit.cookies)
        answered = self.loop.time()
        following: Ask | None = None
        problem = got.problem
        try:
            if problem:
                following = visit.journey.throw(RequestFailed(problem, got.status))
            elif got.status is not None:
                following = visit.journey.send(Answer(got.status, got.body))
        except (StopIteration, RequestFailed):
            pass
        except (Unexpected, LookupError, TypeError, ValueError) as error:
            problem = f"{type(error).__name__}: {error}"
        self._note(ask, due, sent, answered, got, problem)
        if following is not None:
            heapq.heappush(self.ready, _Ready(answered + following.after_s, next(self.numbers), visit, following))

    async def _ask(self, ask: Ask, cookies: dict[str, str]) -> _Answered:
        headers = {"Authorization": f"Bearer {ask.token}"} if ask.token else {}
        if ask.key:
            headers["Idempotency-Key"] = ask.key
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        try:
            async with asyncio.timeout(TIMEOUT_S):
                response = await self.client.request(ask.method, ask.path, json=ask.body, headers=headers)
        except TimeoutError:
            return _Answered(None, f"no answer in {TIMEOUT_S:.0f} s")
        except httpx2.HTTPError as error:
            return _Answered(None, f"{type(error).__name__}: {error}")
        _keep_cookies(response, cookies)
        served_by = response.headers.get("X-Served-By", "")
        if response.status_code not in ask.expect:
            first_line = response.text.partition("\n")[0][:200]
            is_ambiguous = _is_ambiguous(response)
            problem = f"answered {response.status_code}: {first_line}"
            return _Answered(response.status_code, problem, is_ambiguous=is_ambiguous, served_by=served_by)
        try:
            return _Answered(response.status_code, body=msgspec.json.decode(response.content), served_by=served_by)
        except msgspec.DecodeError as error:
            return _Answered(response.status_code, f"answered what is not JSON: {error}", served_by=served_by)

    def _note(self, ask: Ask, due: float, sent: float, answered: float, got: _Answered, problem: str) -> None:
        self.requests += 1
        if problem:
            self.failed += 1
            self.last_problem = problem
        latency_ms = 1000 * (answered - due)
        self.recent.append((answered, latency_ms))
        sample = Sample(
            at_s=round(due - self.begun, 4),
            due_at=self.begun_at + timedelta(seconds=due - self.begun),
            step=ask.step,
            latency_ms=round(latency_ms, 2),
            service_ms=round(1000 * (answered - sent), 2),
            status=got.status,
            problem=problem,
            is_ambiguous=got.is_ambiguous,
            served_by=got.served_by,
        )
        self.samples.write(msgspec.json.encode(sample) + b"\n")


def _keep_cookies(response: httpx2.Response, cookies: dict[str, str]) -> None:
    for line in response.headers.get_list("Set-Cookie"):
        try:
            cookies.update({name: morsel.coded_value for name, morsel in SimpleCookie(line).items()})
        except CookieError:
            continue


def _is_ambiguous(response: httpx2.Response) -> bool:
    """The typed error: something was committed before the module turned out to have moved."""
    if response.headers.get("X-Ambiguous") == "1":
        return True
    try:
        problem = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return False
    return isinstance(problem, dict) and problem.get("code") == "ambiguous"


def customers(number: int) -> list[Customer]:
    """The demo customers that `manage.py seed` plants."""
    return [Customer(f"customer-{n:03}@shop.example") for n in range(1, number + 1)]


def client_of(url: str) -> httpx2.AsyncClient:
    """For many visits at once: it keeps no cookies itself, each visit has its own."""
    return httpx2.AsyncClient(
        base_url=url,
        timeout=TIMEOUT_S,
        trust_env=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        # Idle connections are closed here before the server does: else a request can meet a closing connection.
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=50, keepalive_expiry=2.0),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m shop.tour.load", description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="until it ends by itself (default: it does not)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random choices")
    parser.add_argument("--customers", type=int, default=200, help="demo customers there are")
    parser.add_argument("--staff", default="staff@shop.example", help="who receives goods; empty: nobody")
    parser.add_argument("--password", default="demo", help="of the demo accounts")
    parser.add_argument("--out", type=Path, required=True, help="directory for ledger and samples")
    asyncio.run(_main(parser.parse_args(arguments)))


async def _main(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    with Ledger(options.out / LEDGER) as ledger, (options.out / REQUESTS).open("wb") as samples:
        town = Town(
            rng=random.Random(f"customers {options.seed}"),  # noqa: S311
            ledger=ledger,
            customers=customers(options.customers),
            password=options.password,
            warehouse=Customer(options.staff) if options.staff else None,
        )
        async with client_of(options.url) as client:
            load = Load(client, town, samples)
            for number in (signal.SIGTERM, signal.SIGINT):
                load.loop.add_signal_handler(number, load.stopped.set)
            if not sys.stdin.isatty():
                with suppress(PermissionError):  # /dev/null cannot be watched, and never closes
                    load.loop.add_reader(sys.stdin.fileno(), _stop_when_closed, load)
            telling = asyncio.create_task(_tell(load, samples))
            # Arrivals have their own generator: the same seed gives the same moments, however the shop answers.
            await load.run(random.Random(f"arrivals {options.seed}"), rate=options.rate, seconds=options.seconds)  # noqa: S311
            telling.cancel()
            _print(load.progress())


def _stop_when_closed(load: Load) -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        load.loop.remove_reader(sys.stdin.fileno())
        load.stopped.set()


async def _tell(load: Load, samples: BinaryIO) -> None:
    while True:
        await asyncio.sleep(PROGRESS_EVERY_S)
        samples.flush()
        _print(load.progress())


def _print(progress: Progress) -> None:
    with suppress(BrokenPipeError):
        sys.stdout.buffer.write(msgspec.json.encode(progress) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
