"""The port to the company that moves the money."""

from typing import Literal, Protocol, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.utils.module_loading import import_string

SANDBOX = "modules.payments.sandbox.SandboxProvider"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider says of a charge. All but `processing` is final, save that captured money can be refunded."""

    state: Literal["processing", "captured", "declined", "cancelled", "refunded"]
    reference: str = ""
    reason: str = ""


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback: what the provider tells unasked."""

    key: UUID
    outcome: Outcome


class NoAnswer(Exception):
    """The provider did not answer in time: whether it did anything is unknown. Ask again with the same key."""


class PaymentProvider(Protocol):
    """Every call is idempotent by key: asked twice, it does once and answers the same. Every call raises NoAnswer."""

    def charge(self, *, key: UUID, amount_cents: int, currency: str, card: str) -> Outcome:
        """Take the money now."""
        ...

    def status(self, *, key: UUID) -> Outcome | None:
        """What became of a charge, None where the provider never heard of it."""
        ...

    def cancel(self, *, key: UUID) -> Outcome:
        """Stop a charge, also one that is not asked for yet. What is captured stays so and is to be refunded."""
        ...

    def refund(self, *, key: UUID) -> Outcome:
        """Give captured money back, all of it."""
        ...


def provider() -> PaymentProvider:
    """The provider that PAYMENT_SETTINGS["provider"] names by its dotted path; the sandbox without one."""
    return cast(PaymentProvider, import_string(settings.PAYMENT_SETTINGS.get("provider") or SANDBOX)())
