"""What can go wrong between modules.

    ContractError
    ├── Unavailable           no answer, or one that is no answer: nothing is known of the effect
    ├── NotBound              no implementation and no address for this contract
    ├── NotOfContract         a value that the contract does not allow: would not survive the wire
    ├── UndeclaredError       the implementation raised what the contract does not declare
    ├── UnknownEvent          no contract publishes this event type
    ├── UnknownSubscriber     no handler has this name
    ├── Refused               its database took no write: the module is moving, or lives elsewhere
    ├── KeyReused             an idempotency key came again with another body
    └── BoundaryViolation     code that would mean something else once the module is a service
        ├── CallInTransaction
        └── HandlerInTransaction

A domain error declared in a contract file (`ERRORS`) is none of these: it crosses the boundary as itself.
"""

from typing import Protocol


class Refusal(Protocol):
    """What the composition root's operations tell of a write that was refused."""

    @property
    def module(self) -> str: ...
    @property
    def home(self) -> str:
        """The unit where the module lives, none while it is in motion."""
        ...

    @property
    def epoch(self) -> int: ...
    @property
    def in_motion(self) -> bool: ...


class ContractError(Exception):
    """Base of all errors of the contract runtime."""


class Unavailable(ContractError):
    """The module gave no answer in time; whether the call had an effect is unknown."""

    def __init__(self, call: str, why: str) -> None:
        self.call, self.why = call, why
        super().__init__(f"{call}: {why}")


class NotBound(ContractError):
    """No implementation is bound to this contract and no address is known for it."""


class NotOfContract(ContractError):
    """A value is not what the contract says, so it would not survive serialisation."""


class UndeclaredError(ContractError):
    """The implementation raised an error that its contract does not declare in ERRORS."""


class UnknownEvent(ContractError):
    """No contract in this unit publishes an event of this type."""


class UnknownSubscriber(ContractError):
    """No handler in this unit has this subscriber name."""


class Refused(ContractError):
    """A write was refused because its module is in motion, or lives in another unit.

    `untouched`: nothing was committed before it and nothing done outside.
    """

    def __init__(self, refusal: "Refusal", *, untouched: bool) -> None:
        self.module, self.home, self.epoch = refusal.module, refusal.home, refusal.epoch
        self.in_motion, self.untouched = refusal.in_motion, untouched
        super().__init__(f"{self.module} is in motion" if self.in_motion else f"{self.module} lives in {self.home}")


class KeyReused(ContractError):
    """The idempotency key was used before, with another body."""


class BoundaryViolation(ContractError):
    """Code that works in one process and would mean something else in two."""


class CallInTransaction(BoundaryViolation):
    """A contract call inside a transaction: it cannot be rolled back, and holds locks while it waits."""


class HandlerInTransaction(BoundaryViolation):
    """An event handler started inside a transaction of the publisher: both would commit or fail as one."""
