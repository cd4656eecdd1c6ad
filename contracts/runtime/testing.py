"""For the tests of modules: events of others, brought as their relay brings them."""

from uuid import UUID

import msgspec
from django.utils import timezone
from uuid_utils.compat import uuid7

from contracts.runtime.definitions import event_type, module_of
from contracts.runtime.dispatch import handle
from contracts.runtime.envelope import Envelope


def tell(subscriber: str, event: msgspec.Struct, *, event_id: UUID | None = None) -> bool:
    """Bring an event to a handler. False where its inbox has this event already."""
    name = event_type(event)
    return handle(
        subscriber,
        Envelope(
            id=event_id or uuid7(),
            source=f"/shop/{module_of(name)}",
            type=name,
            subject="",
            time=timezone.now(),
            data=msgspec.Raw(msgspec.json.encode(event)),
        ),
    )
