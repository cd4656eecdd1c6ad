"""How contracts are carried: calls that do not know where the other side lives, events that outlive a crash.

`use` and `bind` for calls, `publish` and `handles` for events, `transaction` for the one commit of an operation.
"""

from contracts.runtime.calls import bind, use
from contracts.runtime.configuration import Remote, configure
from contracts.runtime.errors import (
    BoundaryViolation,
    CallInTransaction,
    ContractError,
    HandlerInTransaction,
    KeyReused,
    NotBound,
    NotOfContract,
    Unavailable,
    UndeclaredError,
    UnknownEvent,
    UnknownSubscriber,
)
from contracts.runtime.events import publish
from contracts.runtime.handlers import handles
from contracts.runtime.transactions import transaction, transaction_required

__all__ = [
    "BoundaryViolation",
    "CallInTransaction",
    "ContractError",
    "HandlerInTransaction",
    "KeyReused",
    "NotBound",
    "NotOfContract",
    "Remote",
    "Unavailable",
    "UndeclaredError",
    "UnknownEvent",
    "UnknownSubscriber",
    "bind",
    "configure",
    "handles",
    "publish",
    "transaction",
    "transaction_required",
    "use",
]
