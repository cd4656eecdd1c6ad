"""What the shop said yes to, written down before the next step, and whether the shop still knows it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

import msgspec

from contracts.orders import OrderFact


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """So many pieces of one product, as the customer asked."""

    sku: str
    quantity: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one POST, or the lack of it.

    `acknowledged` is true when the shop answered 2xx with an order: from then on the order must never be lost. A
    request without an answer leaves an entry with status None; the customer asks again under the same key.
    """

    operation: Literal["place_order", "repeat_order"]
    idempotency_key: str
    customer: str
    lines: tuple[LedgerLine, ...]
    card: str
    status: int | None
    order_id: UUID | None = None
    total_cents: int | None = None
    acknowledged: bool
    time: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))


class SeenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the shop shows it over HTTP."""

    id: UUID
    state: str
    lines: tuple[LedgerLine, ...]
    total_cents: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged order that the shop does not hold as it was acknowledged."""

    idempotency_key: str
    order_id: UUID
    what: str


class Doubled(msgspec.Struct, frozen=True, kw_only=True):
    """One idempotency key, more than one order."""

    idempotency_key: str
    order_ids: tuple[UUID, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger against the shop. Counts are of operations, that is of idempotency keys.

    `unanswered` are operations that no answer ever acknowledged; `unanswered_placed` of them left an order all the
    same, which is no fault: the customer was never told.
    """

    acknowledged: int
    unanswered: int
    unanswered_placed: int
    lost: tuple[Difference, ...]
    doubled: tuple[Doubled, ...]


class Ledger:
    """Appends entries to a file as JSON lines; each reaches the operating system before `write` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, entry: Entry) -> None:
        self._file.write(msgspec.json.encode(entry) + b"\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def entries_in(path: Path) -> list[Entry]:
    """The entries of a ledger file; a last line that a kill cut short is left out."""
    lines = path.read_bytes().split(b"\n")
    decoder = msgspec.json.Decoder(Entry)
    return [decoder.decode(line) for line in lines[:-1]]


def compare(
    entries: Iterable[Entry], *, facts: Iterable[OrderFact], seen: Mapping[UUID, SeenOrder | None]
) -> Comparison:
    """Compare a ledger with what the shop's audit facts say and with what a customer sees over HTTP.

    Lost: an acknowledged order is missing from either, or differs in key, lines or total. Doubled: a key of the
    ledger has more than one order, in the shop or in its answers.
    """
    entries = list(entries)
    facts_of = {fact.id: fact for fact in facts}
    orders_of: dict[str, set[UUID]] = defaultdict(set)
    for fact in facts_of.values():
        orders_of[fact.idempotency_key].add(fact.id)
    keys = {entry.idempotency_key for entry in entries}
    acknowledged = {(entry.idempotency_key, entry.order_id): entry for entry in entries if entry.acknowledged}
    for key, order_id in acknowledged:
        if order_id is not None:
            orders_of[key].add(order_id)
    acknowledged_keys = {key for key, _ in acknowledged}
    return Comparison(
        acknowledged=len(acknowledged_keys),
        unanswered=len(keys - acknowledged_keys),
        unanswered_placed=sum(1 for key in keys - acknowledged_keys if orders_of.get(key)),
        lost=tuple(
            Difference(idempotency_key=key, order_id=order_id, what=what)
            for (key, order_id), entry in acknowledged.items()
            if order_id is not None
            if (what := _differs(entry, facts_of.get(order_id), seen.get(order_id)))
        ),
        doubled=tuple(
            Doubled(idempotency_key=key, order_ids=tuple(sorted(orders_of[key])))
            for key in sorted(keys)
            if len(orders_of.get(key, ())) > 1
        ),
    )


def _differs(entry: Entry, fact: OrderFact | None, seen: SeenOrder | None) -> str:
    if fact is None:
        return "not among the shop's orders"
    if seen is None:
        return "the API does not find it"
    asked = {line.sku: line.quantity for line in entry.lines}
    shown = {line.sku: line.quantity for line in seen.lines}
    return "; ".join(
        f"{what}: acknowledged {expected}, {where} has {actual}"
        for what, expected, where, actual in (
            ("key", entry.idempotency_key, "the shop", fact.idempotency_key),
            ("lines", asked, "the shop", fact.quantities),
            ("lines", asked, "the API", shown),
            ("total_cents", entry.total_cents, "the shop", fact.total_cents),
            ("total_cents", entry.total_cents, "the API", seen.total_cents),
        )
        if expected != actual
    )
