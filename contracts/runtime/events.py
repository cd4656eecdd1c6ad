"""Tell other modules: `publish(OrderPlaced(…))` inside the transaction that makes it so."""

import msgspec
from django.db import transaction as django_transaction
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from contracts.runtime import tracing
from contracts.runtime.definitions import event_type, event_types, module_of, subscribers_of
from contracts.runtime.dispatch import dispatch
from contracts.runtime.errors import UnknownEvent
from contracts.runtime.outbox import run
from contracts.runtime.transactions import transaction_required

RELAY_AFTER_S = 5.0
"""In-process dispatch has this long before the relay looks at a new delivery."""


def publish(event: msgspec.Struct) -> None:
    """Write the event to the outbox of its module, in the transaction that is open there.

    After the commit, subscribers in this process run at once, each in its own transaction; the relay delivers
    what is left. Raises TransactionManagementError without an open transaction, UnknownEvent for a struct that
    no contract publishes.
    """
    type_name = event_type(event)
    if event_types().get(type_name) is not type(event):
        raise UnknownEvent(f"{type(event).__name__} ({type_name}) is in no contract's PUBLISHES")
    module = module_of(type_name)
    transaction_required(module)
    deliveries = run(
        module,
        "publish",
        id=uuid7(),
        type=type_name,
        key=str(getattr(event, event.KEY)),  # type: ignore[attr-defined]
        data=Jsonb(event, dumps=msgspec.json.encode),
        traceparent=tracing.traceparent(),
        subscribers=list(subscribers_of(type_name)),
        in_s=RELAY_AFTER_S,
    )
    if deliveries:
        ids = [row[0] for row in deliveries]
        django_transaction.on_commit(lambda: dispatch(module, ids), using=module, robust=True)
