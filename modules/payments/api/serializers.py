from typing import Any

from rest_framework import serializers

import contracts.payments as contract


class PaymentOut(serializers.Serializer[Any]):
    order_id = serializers.UUIDField()
    state = serializers.ChoiceField(choices=contract.State.__args__)  # type: ignore[attr-defined]
    amount_cents = serializers.IntegerField()
    currency = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()
