"""What the shop said yes to, written down before the next step, and whether the shop still knows it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from uuid import UUID

import msgspec

from contracts.inventory import StockFact
from contracts.orders import OrderFact


class LedgerLine(msgspec.Struct, frozen=True, kw_only=True):
    """So many pieces of one product, as the customer asked."""

    sku: str
    quantity: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one POST, or the lack of it: an order, goods that warehouse staff receive, or a new account.

    `acknowledged` is true when the shop answered 2xx with an order, a stock or an account: from then on it must never
    be lost. A request without an answer leaves an entry with status None; it is asked again under the same key, an
    account with the same email address.
    """

    operation: Literal["place_order", "repeat_order", "receive_goods", "repeat_receipt", "register"]
    idempotency_key: str
    customer: str
    lines: tuple[LedgerLine, ...]
    card: str = ""
    status: int | None
    order_id: UUID | None = None
    total_cents: int | None = None
    received: int | None = None
    """Pieces of the product that were ever received, as the answer to a receipt says."""
    account_id: UUID | None = None
    acknowledged: bool
    time: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))

    @property
    def is_receipt(self) -> bool:
        return self.operation in ("receive_goods", "repeat_receipt")

    @property
    def is_account(self) -> bool:
        return self.operation == "register"


class SeenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the shop shows it over HTTP."""

    id: UUID
    state: str
    lines: tuple[LedgerLine, ...]
    total_cents: int


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledged order, receipt or account that the shop does not hold as it was acknowledged.

    Of a receipt the product, of an account its email address.
    """

    idempotency_key: str
    order_id: UUID | None = None
    sku: str = ""
    email: str = ""
    what: str


class Doubled(msgspec.Struct, frozen=True, kw_only=True):
    """One idempotency key with more than one order, or whose goods were received more than once.

    Of receipts the product is named, and no key where only the sum shows that there are too many pieces.
    """

    idempotency_key: str = ""
    order_ids: tuple[UUID, ...] = ()
    sku: str = ""
    what: str = ""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger against the shop. Counts are of operations, that is of idempotency keys.

    `acknowledged_receipts` of `acknowledged` are goods that were received, `acknowledged_accounts` customers who
    registered, the others orders. `unanswered` are
    operations that no answer ever acknowledged; `unanswered_placed` of them left an order all the same, which is no
    fault: the customer was never told.
    """

    acknowledged: int
    acknowledged_receipts: int = 0
    acknowledged_accounts: int = 0
    unanswered: int
    unanswered_placed: int
    lost: tuple[Difference, ...]
    doubled: tuple[Doubled, ...]

    @property
    def acknowledged_orders(self) -> int:
        return self.acknowledged - self.acknowledged_receipts - self.acknowledged_accounts


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
    entries: Iterable[Entry],
    *,
    facts: Iterable[OrderFact],
    seen: Mapping[UUID, SeenOrder | None],
    stock_before: Mapping[str, StockFact] | None = None,
    stock_after: Mapping[str, StockFact] | None = None,
    accounts: Mapping[str, UUID | None] | None = None,
) -> Comparison:
    """Compare a ledger with what the shop's audit facts say and with what a customer sees over HTTP.

    `accounts` says by email address who signs in with the password of the registration.

    Lost: an acknowledged order is missing from either, or differs in key, lines or total; an acknowledged receipt is
    not in the stock; an acknowledged account is another's or nobody's. Doubled: a key of the ledger has more than one
    order, in the shop or in its answers, or its goods are in the stock more than once.
    """
    entries = list(entries)
    of_orders = [entry for entry in entries if not (entry.is_receipt or entry.is_account)]
    lost, doubled, placed = _compare_orders(of_orders, {fact.id: fact for fact in facts}, seen)
    lost_receipts, doubled_receipts = compare_receipts(
        [entry for entry in entries if entry.is_receipt], before=stock_before or {}, after=stock_after or {}
    )
    lost_accounts = _compare_accounts(entries, accounts or {})
    keys = {entry.idempotency_key for entry in entries}
    acknowledged = {entry.idempotency_key for entry in entries if entry.acknowledged}
    return Comparison(
        acknowledged=len(acknowledged),
        acknowledged_receipts=len({entry.idempotency_key for entry in entries if entry.is_receipt} & acknowledged),
        acknowledged_accounts=len({entry.idempotency_key for entry in entries if entry.is_account} & acknowledged),
        unanswered=len(keys - acknowledged),
        unanswered_placed=len(placed - acknowledged),
        lost=(*lost, *lost_receipts, *lost_accounts),
        doubled=(*doubled, *doubled_receipts),
    )


def compare_receipts(
    entries: Sequence[Entry], *, before: Mapping[str, StockFact], after: Mapping[str, StockFact]
) -> tuple[list[Difference], list[Doubled]]:
    """Compare what was acknowledged as received with the stock before the load and after it.

    Each answer says how many pieces there were ever; so the receipts of a product lie one behind the other between
    the two counts, without overlap and without a hole. A receipt that was never answered may be in the stock or not.
    """
    lost: list[Difference] = []
    doubled: list[Doubled] = []
    answers: dict[str, set[int]] = defaultdict(set)
    receipts: dict[str, Entry] = {}
    for entry in entries:
        if entry.acknowledged and entry.received is not None:
            answers[entry.idempotency_key].add(entry.received)
            receipts.setdefault(entry.idempotency_key, entry)
    for key, counts in answers.items():
        if len(counts) > 1:
            what = f"received again: {sorted(counts)} pieces in all"
            doubled.append(Doubled(idempotency_key=key, sku=_sku(receipts[key]), what=what))
    unanswered = {entry.idempotency_key: entry for entry in entries if entry.idempotency_key not in receipts}
    for sku in sorted({_sku(entry) for entry in entries}):
        of_sku = sorted(
            (entry for entry in receipts.values() if _sku(entry) == sku), key=lambda entry: entry.received or 0
        )
        maybe = sum(_pieces(entry) for entry in unanswered.values() if _sku(entry) == sku)
        found_lost, found_doubled = _compare_stock(sku, of_sku, maybe, before=before.get(sku), after=after.get(sku))
        lost += found_lost
        if not any(it.sku == sku for it in doubled):
            doubled += found_doubled
    return lost, doubled


def _compare_stock(
    sku: str, receipts: Sequence[Entry], maybe: int, *, before: StockFact | None, after: StockFact | None
) -> tuple[list[Difference], list[Doubled]]:
    """`receipts` in order of what they said was received in all; `maybe` pieces were asked for and never answered."""
    if before is None or after is None:
        when = "before" if before is None else "after"
        return [
            Difference(idempotency_key=entry.idempotency_key, sku=sku, what=f"no stock of {sku} {when} the load")
            for entry in receipts
        ], []
    lost, reached = [], before.received
    for entry in receipts:
        count = entry.received or 0
        if count - _pieces(entry) < reached:
            what = f"{_pieces(entry)} pieces acknowledged, {count} in all, but {reached} were there without them"
            lost.append(Difference(idempotency_key=entry.idempotency_key, sku=sku, what=what))
        elif count > after.received:
            what = f"{_pieces(entry)} pieces acknowledged, {count} in all, but the shop has {after.received}"
            lost.append(Difference(idempotency_key=entry.idempotency_key, sku=sku, what=what))
        reached = max(reached, count)
    due = before.received + sum(map(_pieces, receipts))
    told = (
        f"{before.received} pieces before and {due - before.received} acknowledged, but the shop has {after.received}"
    )
    if after.received > due + maybe:
        return lost, [Doubled(sku=sku, what=told)]
    return lost, []


def _compare_orders(
    entries: Sequence[Entry], facts_of: Mapping[UUID, OrderFact], seen: Mapping[UUID, SeenOrder | None]
) -> tuple[list[Difference], list[Doubled], set[str]]:
    """What was lost and doubled, and the keys of the ledger that have an order in the shop."""
    orders_of: dict[str, set[UUID]] = defaultdict(set)
    for fact in facts_of.values():
        orders_of[fact.idempotency_key].add(fact.id)
    keys = {entry.idempotency_key for entry in entries}
    placed = {key for key in keys if orders_of.get(key)}
    acknowledged = {(entry.idempotency_key, entry.order_id): entry for entry in entries if entry.acknowledged}
    for key, order_id in acknowledged:
        if order_id is not None:
            orders_of[key].add(order_id)
    lost = [
        Difference(idempotency_key=key, order_id=order_id, what=what)
        for (key, order_id), entry in acknowledged.items()
        if order_id is not None
        if (what := _differs(entry, facts_of.get(order_id), seen.get(order_id)))
    ]
    doubled = [
        Doubled(idempotency_key=key, order_ids=tuple(sorted(orders_of[key])))
        for key in sorted(keys)
        if len(orders_of.get(key, ())) > 1
    ]
    return lost, doubled, placed


def _compare_accounts(entries: Sequence[Entry], seen: Mapping[str, UUID | None]) -> list[Difference]:
    return [
        Difference(
            idempotency_key=entry.idempotency_key,
            email=entry.customer,
            what=f"registered as {entry.account_id}, signs in as {seen.get(entry.customer) or 'nobody'}",
        )
        for entry in entries
        if entry.is_account and entry.acknowledged and seen.get(entry.customer) != entry.account_id
    ]


def _sku(receipt: Entry) -> str:
    return receipt.lines[0].sku


def _pieces(receipt: Entry) -> int:
    return receipt.lines[0].quantity


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
