"""Ask another module: `use(Inventory).quote(lines=…)`.

The caller never learns where the module lives. Each call asks the resolver: in this process the bound
implementation answers, elsewhere the HTTP transport carries the same struct.
"""

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, TypeVar, cast

from django.db import OperationalError

from contracts.runtime.configuration import configuration
from contracts.runtime.definitions import Definition, Method, definitions
from contracts.runtime.errors import CallInTransaction, NotBound, Refused, Unavailable, UndeclaredError
from contracts.runtime.following import PATIENCE_S, patiently
from contracts.runtime.http.client import send
from contracts.runtime.http.deadline import remaining_s
from contracts.runtime.transactions import open_transactions
from contracts.runtime.wire import (
    decode_arguments,
    decode_error,
    decode_result,
    encode_arguments,
    encode_error,
    encode_result,
)

C = TypeVar("C")

_implementations: dict[str, object] = {}


def bind(contract: type[C], implementation: C) -> None:
    """Name the object that answers a contract in this process."""
    _implementations[_definition(cast(Hashable, contract)).module] = implementation


def use(contract: type[C]) -> C:
    """A typed proxy for a contract. Keep it or ask anew, both cost the same.

    Raises, from a call: the contract's declared errors; Unavailable; CallInTransaction while a transaction of any
    module is open in this thread.
    """
    return cast(C, _proxy(cast(Hashable, contract)))


def answer_locally(method: Method, arguments: dict[str, Any]) -> Any:
    """Answer a call with the implementation bound in this process.

    Raises Refused when its module is not at home here and nothing was done.
    """
    implementation = _implementations.get(method.contract)
    if implementation is None:
        raise NotBound(f"{method}: {method.contract} is not in unit {configuration.unit!r} and has no address")
    try:
        return patiently(
            "call",
            method.label,
            lambda: _answer(method, implementation, arguments),
            at_most_s=remaining_s(PATIENCE_S),
        )
    except Refused as refused:
        if refused.untouched:
            raise
        raise Unavailable(str(method), f"a part of it was done, then {refused}") from refused


def _answer(method: Method, implementation: object, arguments: dict[str, Any]) -> Any:
    try:
        return getattr(implementation, method.name)(**arguments)
    except _errors(method.contract):
        raise
    except OperationalError as error:
        raise Unavailable(str(method), f"its database does not answer: {error}") from error
    except Exception as error:
        if configuration.strict:
            raise UndeclaredError(
                f"{method} raised {type(error).__name__}: {error}; declare it in contracts/{method.contract}.py "
                "ERRORS, or handle it"
            ) from error
        raise Unavailable(str(method), f"{type(error).__name__}: {error}") from error


@cache
def _definition(contract: Hashable) -> Definition:
    for definition in definitions().values():
        if definition.protocol is contract:
            return definition
    raise NotBound(f"{contract!r} is not the CONTRACT of any file in contracts/")


@cache
def _errors(module: str) -> tuple[type[Exception], ...]:
    return tuple(definitions()[module].errors.values())


class _Proxy:
    """Carries the calls of one contract."""

    def __init__(self, definition: Definition) -> None:
        for method in definition.methods.values():
            setattr(self, method.name, _carrier(method))


@cache
def _proxy(contract: Hashable) -> _Proxy:
    return _Proxy(_definition(contract))


def _carrier(method: Method) -> Callable[..., Any]:
    def call(**arguments: Any) -> Any:
        if still_open := open_transactions():
            raise CallInTransaction(
                f"{method} was called inside a transaction of {', '.join(still_open)}: ask before it opens, or "
                "publish an event in it"
            )
        remote = configuration.resolve(method.contract)
        if remote is None:
            try:
                return _as_if_remote(method, arguments) if configuration.strict else answer_locally(method, arguments)
            except Refused as refused:
                remote = configuration.resolve(method.contract)  # knows now what the refusal said
                if refused.in_motion or remote is None:
                    raise Unavailable(str(method), str(refused)) from refused
        return send(method, arguments, remote)

    call.__name__ = call.__qualname__ = str(method)
    return call


def _as_if_remote(method: Method, arguments: dict[str, Any]) -> Any:
    """What crosses the wire crosses it here too: an ORM object, a lazy queryset or a shared list does not survive."""
    received = decode_arguments(method, encode_arguments(method, arguments))
    try:
        result = answer_locally(method, received)
    except _errors(method.contract) as error:
        decode_error(method.contract, encode_error(error))
        raise
    return decode_result(method, encode_result(method, result))
