"""Which changes of an event, a call or an error pass the gate, and that the runtime reads what passes."""

from uuid import UUID

import msgspec
import pytest

from contracts.runtime.errors import NotOfContract
from contracts.runtime.gate.differences import differences
from contracts.runtime.wire import decode_arguments, decode_result, encode_arguments, encode_result
from tests.contracts.edited import breaks, document, edited, found, passes

ORDER = UUID("01890000-0000-7000-8000-000000000000")
CARD = "    card: str\n"
QUOTE_SIGNATURE = "def quote(self, *, lines: tuple[Line, ...]) -> Quote:"
HELD = 'state: Literal["reserved", "sold", "released", "rejected"]'
IN_RESERVED = (
    "    order_id: UUID\n\n\nclass StockRejected",
    "    order_id: UUID\n    at: str{}\n\n\nclass StockRejected",
)


def test_what_is_published_today_is_no_change() -> None:
    assert not found("orders")


def test_an_event_may_gain_a_field_with_a_default() -> None:
    assert passes("orders", (CARD, CARD + '    gift: str = ""\n')) == [
        'orders.order_placed.v1: gift is new (after: string, default "")'
    ]


def test_an_event_may_not_gain_a_field_without_a_default() -> None:
    assert breaks("orders", (CARD, CARD + "    gift: str\n")) == [
        "orders.order_placed.v1: gift is new and has no default (after: string, required)"
    ]


def test_a_field_that_was_removed_breaks() -> None:
    assert breaks("orders", (CARD, "")) == ["orders.order_placed.v1: card was removed (before: string, required)"]


def test_a_field_with_another_name_is_told_with_both() -> None:
    renamed = breaks("orders", (CARD, "    token: str\n"))
    assert "orders.order_placed.v1: card was removed, or renamed to token (before: string, required)" in renamed


def test_a_field_of_another_type_breaks_and_both_types_are_told() -> None:
    assert breaks(
        "orders",
        ("    total_cents: int\n    currency: str\n    card", "    total_cents: str\n    currency: str\n    card"),
    ) == ["orders.order_placed.v1: total_cents has another type (before: integer; after: string)"]


FACT = "    quantities: dict[str, int]\n    placed_at: datetime\n"
IMPORT = "from datetime import datetime\n"


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("datetime", "str", 'placed_at has another format (before: "date-time or date-time-local"; after: none)'),
        (
            "datetime",
            "time",
            'placed_at has another format (before: "date-time or date-time-local"; after: "time or partial-time")',
        ),
        (
            "datetime",
            "Annotated[datetime, msgspec.Meta(tz=True)]",
            'placed_at has another format (before: "date-time or date-time-local"; after: "date-time")',
        ),
        ("[str,", "[UUID,", 'quantities{key} has another format (before: none; after: "uuid")'),
        ("[str,", "[int,", 'quantities{key} has another format (before: none; after: "integer")'),
    ],
)
def test_another_type_that_json_writes_as_the_same_breaks(before: str, after: str, told: str) -> None:
    imports = (IMPORT, "from datetime import datetime, time\nfrom typing import Annotated\n")
    edits = (FACT, FACT.replace(before, after)), imports
    assert breaks("orders", *edits) == [f"orders.{where}.{told}" for where in ("fact: result", "facts: result.facts[]")]


def test_a_parameter_that_was_any_text_and_is_a_time_now_takes_less() -> None:
    told = breaks("inventory", ("from uuid", f"{IMPORT}from uuid"), ('search: str = ""', 'search: datetime = ""'))
    assert told == [
        "inventory.catalogue: parameters.search has another format "
        '(before: none; after: "date-time or date-time-local")'
    ]


def test_a_value_that_the_keys_of_a_dict_did_not_have_breaks() -> None:
    import_enum = (IMPORT, f"{IMPORT}from enum import StrEnum\n")
    keys = "\n\nclass Size(StrEnum):\n    S = 's'\n{}\n\nclass OrderFacts"
    one, other = (("\n\nclass OrderFacts", keys.format(more)) for more in ("", "    M = 'm'\n"))
    fact = (FACT, FACT.replace("[str,", "['Size',"))
    old, new = (document("orders", import_enum, fact, size) for size in (one, other))
    told = [str(each) for each in differences(old, new)]
    assert told[0] == 'orders.fact: result.quantities{key} may be "m" (before: "s"; after: "m" | "s")'


def test_fields_that_are_written_in_a_list_keep_their_places() -> None:
    head = "class PlacedLine(msgspec.Struct, frozen=True, kw_only=True"
    listed = (head, head + ", array_like=True")
    lot = ("    sku: str\n    quantity: int\n\n\nclass OrderPlaced", "    {}: int\n    {}: int\n\n\nclass OrderPlaced")
    one, other = ((lot[0], lot[1].format(*names)) for names in (("lot", "quantity"), ("quantity", "lot")))
    told = [str(each) for each in differences(document("orders", listed, one), document("orders", listed, other))]
    assert told == [
        'orders.order_placed.v1: lines[][0] is another field (before: "lot"; after: "quantity")',
        'orders.order_placed.v1: lines[][1] is another field (before: "quantity"; after: "lot")',
    ]


def test_a_number_that_may_have_decimals_now_breaks() -> None:
    assert breaks(
        "payments",
        (
            "    order_id: UUID\n    amount_cents: int\n    currency: str\n    reference: str\n\n\nclass PaymentD",
            "    order_id: UUID\n    amount_cents: float\n    currency: str\n    reference: str\n\n\nclass PaymentD",
        ),
    ) == ["payments.payment_captured.v1: amount_cents has another type (before: integer; after: number)"]


def test_a_field_that_may_be_null_now_breaks() -> None:
    (told,) = breaks("orders", (CARD, "    card: str | None\n"))
    assert told == "orders.order_placed.v1: card may be null (before: string; after: string or null)"


def test_a_field_that_is_never_null_any_more_breaks_who_reads_what_was_written_before() -> None:
    assert breaks("orders", ("    reason: Reason | None\n", "    reason: Reason\n"))


def test_a_value_that_a_literal_did_not_have_breaks() -> None:
    told = breaks("orders", ('"declined", "expired"', '"declined", "expired", "fraud"'))
    assert 'orders.order_cancelled.v1: reason may be "fraud"' in told[0]
    assert 'before: "declined" | "expired" | "out_of_stock"' in told[0]


def test_a_value_that_a_literal_lost_breaks_who_reads_what_was_written_before() -> None:
    assert any('is never "declined"' in told for told in breaks("orders", ('"declined", "expired"', '"expired"')))


def test_a_field_that_may_be_left_out_now_breaks() -> None:
    (told,) = breaks("orders", (CARD, '    card: str = ""\n'))
    assert "card may be left out" in told


def test_a_field_that_may_not_be_left_out_any_more_breaks() -> None:
    told = breaks("orders", ('detail: str = ""', "detail: str"))
    assert any("result.timeline[].detail may not be left out" in each for each in told)


def test_a_field_inside_a_list_is_named_with_its_way() -> None:
    (told,) = breaks(
        "orders",
        (
            "class PlacedLine(msgspec.Struct, frozen=True, kw_only=True):\n    sku: str\n",
            "class PlacedLine(msgspec.Struct, frozen=True, kw_only=True):\n",
        ),
    )
    assert "orders.order_placed.v1: lines[].sku was removed" in told


def test_values_of_a_dict_are_compared() -> None:
    assert any(
        "quantities{} has another type" in told for told in breaks("orders", ("dict[str, int]", "dict[str, str]"))
    )


def test_another_key_of_an_event_breaks() -> None:
    placed = 'KEY: ClassVar[str] = "order_id"\n\n    order_id: UUID\n    customer_id: UUID\n    lines'
    (told,) = breaks("orders", (placed, placed.replace('"order_id"', '"customer_id"')))
    assert told.startswith("orders.order_placed.v1: KEY is another field")
    assert "before: order_id; after: customer_id" in told


def test_a_second_version_beside_the_first_passes() -> None:
    second = (
        'class OrderPlaced2(msgspec.Struct, frozen=True, kw_only=True, tag="orders.order_placed.v2"):\n'
        '    KEY: ClassVar[str] = "order_id"\n\n    order_id: UUID\n    basket: tuple[PlacedLine, ...]\n\n\n'
    )
    edits = (
        ("class OrderConfirmed", second + "class OrderConfirmed"),
        ("PUBLISHES = (", "PUBLISHES = (OrderPlaced2, "),
    )
    assert passes("orders", *edits) == ["orders.order_placed.v2: is new"]


def test_an_event_that_is_not_published_any_more_breaks() -> None:
    assert breaks("orders", ("PUBLISHES = (OrderPlaced, ", "PUBLISHES = (")) == ["orders.order_placed.v1: was removed"]


def test_a_call_may_gain_a_parameter_with_a_default() -> None:
    told = passes("inventory", (QUOTE_SIGNATURE, QUOTE_SIGNATURE.replace(", ...]", ', ...], voucher: str = ""')))
    assert told == ['inventory.quote: parameters.voucher is new (after: string, default "")']


def test_a_call_may_not_gain_a_parameter_without_a_default() -> None:
    told = breaks("inventory", (QUOTE_SIGNATURE, QUOTE_SIGNATURE.replace(", ...]", ", ...], voucher: str")))
    assert told == ["inventory.quote: parameters.voucher is new and has no default (after: string, required)"]


def test_a_parameter_that_was_removed_breaks() -> None:
    told = breaks("inventory", ('category: str = "", after', "after"))
    assert told == ['inventory.catalogue: parameters.category was removed (before: string, default "")']


def test_a_parameter_with_another_default_breaks() -> None:
    (told,) = breaks("inventory", ("limit: int = 24", "limit: int = 12"))
    assert "parameters.limit has another default" in told
    assert "before: integer, default 24; after: integer, default 12" in told


def test_a_parameter_may_take_more_and_not_less() -> None:
    none = ("def product(self, *, sku: str)", "def product(self, *, sku: str | None)")
    assert passes("inventory", none) == [
        "inventory.product: parameters.sku may be null (before: string; after: string or null)"
    ]
    assert breaks(
        "inventory",
        ("after: UUID | None = None, limit: int = 500) -> Holdings", "after: UUID, limit: int = 500) -> Holdings"),
    )


def test_a_parameter_that_needs_a_value_of_a_list_now_breaks() -> None:
    (told,) = breaks("inventory", ('search: str = ""', 'search: Literal["", "shoe"] = ""'))
    assert "parameters.search has only certain values" in told


def test_an_answer_may_gain_a_field_with_a_default_and_no_value() -> None:
    field = ("    available: int\n\n\nclass Catalogue", '    available: int\n    colour: str = ""\n\n\nclass Catalogue')
    assert passes("inventory", field) == [
        'inventory.catalogue: result.products[].colour is new (after: string, default "")',
        'inventory.product: result.colour is new (after: string, default "")',
    ]
    told = breaks("inventory", (HELD, HELD.replace('"sold"', '"sold", "lost"')))
    assert any('inventory.holding: result.state may be "lost"' in each for each in told)


def test_a_call_that_was_safe_to_repeat_and_is_not_any_more_breaks() -> None:
    (told,) = breaks("inventory", ('"quote", "holdings"', '"holdings"'))
    assert told.startswith("inventory.quote: READS no longer has it")
    assert passes("users", ('READS = ("customer",)', 'READS = ("customer", "sign_in")')) == [
        "users.sign_in: READS has it"
    ]


def test_a_call_that_is_gone_breaks_and_one_that_is_new_passes() -> None:
    assert breaks("inventory", ("    def quote(", "    def quote_2(")) == ["inventory.quote: was removed"]
    second = "    def offers(self) -> tuple[str, ...]: ...\n\n"
    assert passes("inventory", ("    def quote(", second + "    def quote(")) == ["inventory.offers: is new"]


def test_an_error_keeps_its_name_its_fields_and_what_it_is_also() -> None:
    assert breaks("inventory", ("ERRORS = (UnknownProduct,)", "ERRORS = ()")) == [
        "inventory.UnknownProduct: was removed"
    ]
    assert "retry_after_s was removed" in breaks("users", ("    retry_after_s: int\n", "    after_s: int\n"))[0]
    (told,) = breaks(
        "users", ("class TooManyAttempts(InvalidCredentials):", "class TooManyAttempts(Exception):\n    email: str")
    )
    assert told.startswith("users.TooManyAttempts: is no InvalidCredentials any more")


def test_words_alone_are_no_change() -> None:
    assert not found("orders", ('"""One entry of an order', '"""An entry of an order'))


def test_a_type_inside_itself_is_compared_once() -> None:
    head = "class Moment(msgspec.Struct, frozen=True, kw_only=True):\n"
    deep = (head, head + "    before: 'tuple[Moment, ...]' = ()\n")
    deeper = (head, deep[1] + "    by: str\n")
    told = [str(each) for each in differences(document("orders", deep), document("orders", deeper))]
    assert told == [
        f"orders.{call}: {where}.timeline[].by is new and has no default (after: string, required)"
        for call, where in (("order", "result"), ("orders_of", "result[]"))
    ]


def test_an_answer_with_a_new_field_is_read_by_older_and_newer_readers() -> None:
    field = ("    available: int\n\n\nclass Catalogue", '    available: int\n    colour: str = ""\n\n\nclass Catalogue')
    assert passes("inventory", field)
    old, new = edited("inventory").methods["product"], edited("inventory", field).methods["product"]
    words = dict.fromkeys(("sku", "name", "description", "category"), "")
    assert decode_result(old, encode_result(new, new.returns(**words, price_cents=1, available=2, colour="red")))
    assert decode_result(new, encode_result(old, old.returns(**words, price_cents=1, available=2))).colour == ""


def test_an_event_with_a_new_field_is_read_by_older_and_newer_readers() -> None:
    with_field = (IN_RESERVED[0], IN_RESERVED[1].format(' = ""'))
    assert passes("inventory", with_field)
    old, new = edited("inventory").publishes[0], edited("inventory", with_field).publishes[0]
    assert msgspec.json.decode(msgspec.json.encode(new(order_id=ORDER, at="x")), type=old).order_id == ORDER  # type: ignore[attr-defined]
    assert msgspec.json.decode(msgspec.json.encode(old(order_id=ORDER)), type=new).at == ""  # type: ignore[attr-defined]


def test_what_is_refused_is_not_read() -> None:
    required = (IN_RESERVED[0], IN_RESERVED[1].format(""))
    assert breaks("inventory", required)
    old, new = edited("inventory").publishes[0], edited("inventory", required).publishes[0]
    with pytest.raises(msgspec.ValidationError, match="missing required field `at`"):
        msgspec.json.decode(msgspec.json.encode(old(order_id=ORDER)), type=new)


def test_an_owner_that_does_not_know_a_parameter_yet_is_asked_by_who_does_not_use_it() -> None:
    """Sent with its default, the parameter would be refused by every owner of the release before."""
    with_voucher = (QUOTE_SIGNATURE, QUOTE_SIGNATURE.replace(", ...]", ', ...], voucher: str = ""'))
    old, new = edited("inventory").methods["quote"], edited("inventory", with_voucher).methods["quote"]
    assert decode_arguments(old, encode_arguments(new, {"lines": ()})) == {"lines": ()}
    assert decode_arguments(new, encode_arguments(old, {"lines": ()})) == {"lines": (), "voucher": ""}
    with pytest.raises(NotOfContract, match="voucher"):
        decode_arguments(old, encode_arguments(new, {"lines": (), "voucher": "SPRING"}))
