"""Sends a contract call to the unit where its module lives.

One retry rule: a call without effects is sent again, and so is one that never reached the other side, or that the other
side did not begin because its module is moving. One circuit breaker per unit. Declared errors come back as themselves,
all else as Unavailable.
"""

import os
import time
from functools import cache
from typing import Any

import httpx2
import pybreaker
import stamina

from contracts.runtime import tracing
from contracts.runtime.configuration import Remote, configuration
from contracts.runtime.definitions import Method
from contracts.runtime.errors import NotBound, NotOfContract, Unavailable
from contracts.runtime.http.deadline import remaining_s
from contracts.runtime.tokens import sign
from contracts.runtime.wire import decode_error, decode_result, encode_arguments

PATH = "internal/contracts"
CONNECT_TIMEOUT_S = 0.5
ATTEMPTS = 3
TOKEN_VALID_S = 60
DECLARED_ERROR = 422
NOT_HERE = 421
"""The module is in motion or lives elsewhere, and nothing was done."""
NOT_HERE_PAUSE_S = 0.01
_BREAKS_AFTER, _BROKEN_FOR_S = 5, 2.0


class _Busy(Exception):
    """The other side is there and cannot answer now."""


def send(method: Method, arguments: dict[str, Any], remote: Remote) -> Any:
    """Raises the contract's declared errors, NotBound, NotOfContract, Unavailable."""
    body = encode_arguments(method, arguments)
    if not remote.url:
        raise NotBound(
            f"{method}: {method.contract} lives in unit {remote.unit!r}, and UNITS_URL does not say where units ask "
            "each other; set it to the address of the internal listener, and /modules"
        )
    if remaining_s(configuration.call_timeout_s) <= 0:  # says nothing of the unit, so not to the breaker either
        raise Unavailable(str(method), "the caller's deadline has passed")
    if not method.safe_to_repeat:
        configuration.outside(method.label)
    try:
        with _breaker(remote.unit).calling():  # not .call(), which lets one thread through at a time
            response = _send_until_begun(method, body, remote)
    except pybreaker.CircuitBreakerError as error:
        raise Unavailable(str(method), f"{remote.unit} failed {_BREAKS_AFTER} times, not asked again yet") from error
    except (httpx2.HTTPError, _Busy) as error:
        raise Unavailable(str(method), f"{remote.unit}: {type(error).__name__} {error}") from error
    if response.status_code == httpx2.codes.OK:
        return decode_result(method, response.content)
    if response.status_code == DECLARED_ERROR:
        raise decode_error(method.contract, response.content)
    if response.status_code == httpx2.codes.BAD_REQUEST:
        raise NotOfContract(f"{method}: {remote.unit} does not know this form of it: {response.text[:500]}")
    raise Unavailable(str(method), f"{remote.unit} answered {response.status_code}")


def _send_until_begun(method: Method, body: bytes, remote: Remote) -> httpx2.Response:
    end = time.monotonic() + remaining_s(configuration.call_timeout_s)
    while (response := _send(method, body, remote)).status_code == NOT_HERE:
        if time.monotonic() + NOT_HERE_PAUSE_S >= end:
            raise _Busy(f"does not answer for {method.contract} yet: {response.text[:200]}")
        time.sleep(NOT_HERE_PAUSE_S)
    return response


def _send(method: Method, body: bytes, remote: Remote) -> httpx2.Response:
    def worth_repeating(error: Exception) -> bool:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return True
        return method.safe_to_repeat and isinstance(error, httpx2.TransportError | _Busy)

    for attempt in stamina.retry_context(
        on=worth_repeating,
        attempts=ATTEMPTS,
        timeout=remaining_s(configuration.call_timeout_s),
        wait_initial=0.02,
        wait_max=0.2,
        wait_jitter=0.05,
    ):
        with attempt:
            left = remaining_s(configuration.call_timeout_s)
            if left <= 0:
                raise Unavailable(str(method), "the caller's deadline has passed")
            response = _client(os.getpid()).post(
                f"{remote.url.rstrip('/')}/{PATH}/{method.contract}/{method.name}",
                content=body,
                headers={
                    "authorization": f"Bearer {_service_token(method.contract)}",
                    "content-type": "application/json",
                    "traceparent": tracing.traceparent(),
                    "x-deadline-ms": str(int(left * 1000)),
                },
                timeout=httpx2.Timeout(left, connect=min(CONNECT_TIMEOUT_S, left)),
            )
            if response.status_code in (502, 503, 504):
                raise _Busy(f"answered {response.status_code}")
            return response
    raise AssertionError("unreachable")


@cache
def _client(pid: int) -> httpx2.Client:
    """One client per process: connections do not survive a fork."""
    return httpx2.Client(limits=httpx2.Limits(max_connections=64, max_keepalive_connections=16), trust_env=False)


@cache
def _breaker(unit: str) -> pybreaker.CircuitBreaker:
    return pybreaker.CircuitBreaker(fail_max=_BREAKS_AFTER, reset_timeout=_BROKEN_FOR_S, name=unit)


def _service_token(module: str) -> str:
    """For the module, wherever it lives: the caller does not know which unit the request will reach."""
    if configuration.signing_key is None:
        raise Unavailable(module, "this unit has no SERVICE_SIGNING_KEY, so it cannot say who it is")
    return sign({"iss": configuration.unit}, configuration.signing_key, audience=module, valid_s=TOKEN_VALID_S)
