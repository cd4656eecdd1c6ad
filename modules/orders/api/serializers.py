from typing import Any

from rest_framework import serializers

import contracts.orders as contract
from contracts.inventory import Line

MOST_LINES = 50
MOST_PIECES = 100
"""Of one product in one order."""


class LineIn(serializers.Serializer[Any]):
    sku = serializers.CharField(max_length=64)
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_PIECES)


class OrderIn(serializers.Serializer[Any]):
    """A basket, paid with the provider's token for a card. A card number has no place here."""

    lines = LineIn(many=True, allow_empty=False, max_length=MOST_LINES)  # type: ignore[call-arg]
    card = serializers.RegexField(
        r"^tok_[a-z0-9_]{1,60}$", error_messages={"invalid": "A card token begins with tok_; card numbers are refused."}
    )
    deliver_to = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")

    def validate_lines(self, lines: list[dict[str, Any]]) -> list[Line]:
        skus = [line["sku"] for line in lines]
        if twice := sorted({sku for sku in skus if skus.count(sku) > 1}):
            raise serializers.ValidationError(f"One line for each product; twice: {', '.join(twice)}.")
        return [Line(sku=line["sku"], quantity=line["quantity"]) for line in lines]


class PageIn(serializers.Serializer[Any]):
    limit = serializers.IntegerField(min_value=1, max_value=100, default=20)
    before = serializers.UUIDField(default=None, help_text="Continue below this order.")


class LineOut(serializers.Serializer[Any]):
    sku = serializers.CharField()
    name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price_cents = serializers.IntegerField()


class MomentOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    what = serializers.CharField()
    detail = serializers.CharField()


class OrderOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    customer_id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=contract.State.__args__)  # type: ignore[attr-defined]
    reason = serializers.ChoiceField(choices=contract.Reason.__args__, allow_null=True)  # type: ignore[attr-defined]
    lines = LineOut(many=True)
    total_cents = serializers.IntegerField()
    currency = serializers.CharField()
    deliver_to = serializers.CharField()
    placed_at = serializers.DateTimeField()
    timeline = MomentOut(many=True)


class OrderPageOut(serializers.Serializer[Any]):
    orders = OrderOut(many=True)
    before = serializers.UUIDField(allow_null=True, help_text="Asks for the next page; null at the end.")
