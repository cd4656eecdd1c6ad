"""The same request twice has one effect and one answer.

    if (given := answer_to(module, scope=…, key=…, request=body)):
        return given
    with transaction(module):
        …
        record(module, scope=…, key=…, request=body, answer=Answer(201, {…}))

The row commits with the effect, never before it. Of two requests at once the second waits for the first, gets
`Repeated`, loses its transaction, and asks `answer_to` again.
"""

import hashlib
from typing import Any

import msgspec
from django.db import IntegrityError

from contracts.runtime.errors import ContractError, KeyReused
from contracts.runtime.models import IdempotentAnswer
from contracts.runtime.transactions import transaction_required


class Answer(msgspec.Struct, frozen=True):
    """An HTTP status and a JSON body."""

    status: int
    body: dict[str, Any]


class Repeated(ContractError):
    """Another request with this key committed first; its answer is there now."""


def answer_to(module: str, *, scope: str, key: str, request: object) -> Answer | None:
    """The answer that was given under this key, None when it is new. Raises KeyReused for another body."""
    row = IdempotentAnswer.objects.using(module).filter(scope=scope, key=key).first()
    if row is None:
        return None
    if row.fingerprint != fingerprint(request):
        raise KeyReused(f"the idempotency key {key!r} was used for another request; take a new key for a new request")
    return Answer(row.status, row.body)


def record(module: str, *, scope: str, key: str, request: object, answer: Answer) -> None:
    """Keep an answer, in the transaction of its effect. Raises Repeated; then the transaction must end."""
    transaction_required(module)
    try:
        IdempotentAnswer.objects.using(module).create(
            scope=scope, key=key, fingerprint=fingerprint(request), status=answer.status, body=answer.body
        )
    except IntegrityError as error:
        raise Repeated(key) from error


def fingerprint(request: object) -> str:
    """SHA-256 of the request in canonical JSON: the order of keys does not matter."""
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
