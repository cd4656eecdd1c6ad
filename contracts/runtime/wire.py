"""How a call is written: arguments, results and declared errors as JSON, the same for every transport."""

from typing import Any

import msgspec

from contracts.runtime.definitions import Method, definitions
from contracts.runtime.errors import NotOfContract


def encode_arguments(method: Method, arguments: dict[str, Any]) -> bytes:
    """The body of a call. Raises NotOfContract."""
    try:
        return msgspec.json.encode(method.parameters(**arguments))
    except TypeError as error:
        raise NotOfContract(f"{method}: {error}") from error


def decode_arguments(method: Method, body: bytes) -> dict[str, Any]:
    """The arguments in a body. Raises NotOfContract, with the path of what does not fit."""
    try:
        received = _decoder(method.parameters).decode(body)
    except msgspec.MsgspecError as error:
        raise NotOfContract(f"{method}: {error}") from error
    return {name: getattr(received, name) for name in method.parameters.__struct_fields__}


def encode_result(method: Method, result: Any) -> bytes:
    """The body of an answer. Raises NotOfContract."""
    try:
        return msgspec.json.encode(result)
    except TypeError as error:
        raise NotOfContract(f"{method} answered {type(result).__name__}: {error}") from error


def decode_result(method: Method, body: bytes) -> Any:
    """The result in an answer. Raises NotOfContract."""
    try:
        return _decoder(method.returns).decode(body)
    except msgspec.MsgspecError as error:
        raise NotOfContract(f"{method} answered what its contract does not say: {error}") from error


def encode_error(error: Exception) -> bytes:
    """A declared domain error, as it crosses the wire."""
    return msgspec.json.encode({"error": type(error).__name__, "fields": vars(error)})


def decode_error(module: str, body: bytes) -> Exception:
    """The declared domain error in a body. Raises NotOfContract when the module declares no such error."""
    received = msgspec.json.decode(body, type=_WireError)
    error = definitions()[module].errors.get(received.error)
    if error is None:
        raise NotOfContract(f"contracts/{module}.py declares no error {received.error!r}")
    try:
        return error(**vars(msgspec.convert(received.fields, error)))
    except msgspec.MsgspecError as problem:
        raise NotOfContract(f"{module}.{received.error}: {problem}") from problem


class _WireError(msgspec.Struct):
    error: str
    fields: dict[str, Any]


_decoders: dict[int, msgspec.json.Decoder[Any]] = {}


def _decoder(of: Any) -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(id(of))
    if decoder is None:
        decoder = _decoders[id(of)] = msgspec.json.Decoder(of)
    return decoder
