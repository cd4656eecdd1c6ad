"""How what a module publishes differs from what it published, and whom that breaks.

Units are deployed one by one, go back to an earlier release, and events wait in outboxes. So what the owner writes
(events, results, errors) is read by old and new readers, whether the writer is old or new: a new field with a default
passes, nothing else does. Parameters are written by callers, who may be older than the owner: what they write has to
be taken as before. A caller that is newer than the owner sends a new parameter only where it uses it, and is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from contracts.runtime.gate.shapes import Change, Readers, Shape, changes

Kind = Literal["event", "call", "error", "operation"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of something that is published under a name."""

    kind: Kind
    name: str
    """`orders.order_placed.v1`, `inventory.quote`, `orders.UnknownOrder`, `GET /api/orders/`."""
    change: Change

    def __str__(self) -> str:
        return f"{self.name}: {self.change}"


NEW, REMOVED = "is new", "was removed"


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """Between two documents of one module. Raises NoSuchPart for one that refers to what it does not have."""
    module = after["module"]
    for name, old, new in _pairs(before["events"], after["events"]):
        for change in _of_event(old, new, before, after):
            yield Difference("event", name, change)
    for name, old, new in _pairs(before["calls"], after["calls"]):
        for change in _of_call(old, new, before, after):
            yield Difference("call", f"{module}.{name}", change)
    for name, old, new in _pairs(before["errors"], after["errors"]):
        for change in _of_error(old, new, before, after):
            yield Difference("error", f"{module}.{name}", change)


def came_or_went(old: object, new: object) -> Iterator[Change]:
    """The change where a name is only on one side; none where it is on both."""
    if old is None:
        yield Change(where="", what=NEW, breaks=False)
    elif new is None:
        yield Change(where="", what=REMOVED, breaks=True)


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in sorted(before.keys() | after.keys()):
        yield name, before.get(name), after.get(name)


def _of_event(old: Any, new: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    if old is None or new is None:
        yield from came_or_went(old, new)
        return
    if old["key"] != new["key"]:
        yield Change(
            where="KEY",
            what="is another field: what waited for each other no longer does",
            before=old["key"],
            after=new["key"],
            breaks=True,
        )
    yield from changes(Shape(old["schema"], before), Shape(new["schema"], after), Readers.ALL)


def _of_call(old: Any, new: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    if old is None or new is None:
        yield from came_or_went(old, new)
        return
    if old["safe_to_repeat"] != new["safe_to_repeat"]:
        yield Change(
            where="READS",
            what="has it" if new["safe_to_repeat"] else "no longer has it: callers would still send it twice",
            breaks=not new["safe_to_repeat"],
        )
    for part, readers in (("parameters", Readers.NEW), ("result", Readers.ALL)):
        yield from changes(Shape(old[part], before), Shape(new[part], after), readers, part)


def _of_error(old: Any, new: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    if old is None or new is None:
        yield from came_or_went(old, new)
        return
    if lost := sorted(set(old["is_also"]) - set(new["is_also"])):
        yield Change(where="", what=f"is no {', '.join(lost)} any more: who catches that misses it", breaks=True)
    yield from changes(Shape(old["schema"], before), Shape(new["schema"], after), Readers.ALL)
