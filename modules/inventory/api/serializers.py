from typing import Any

from rest_framework import serializers

from modules.inventory.selectors import MOST_PRODUCTS

MOST_PIECES = 1_000_000


class ProductSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    category = serializers.CharField()
    price_cents = serializers.IntegerField()
    available = serializers.IntegerField()


class CatalogueSerializer(serializers.Serializer[Any]):
    products = ProductSerializer(many=True)
    after = serializers.CharField(allow_null=True)


class CatalogueQuerySerializer(serializers.Serializer[Any]):
    search = serializers.CharField(max_length=100, required=False, allow_blank=True)
    category = serializers.CharField(max_length=80, required=False, allow_blank=True)
    after = serializers.CharField(max_length=40, required=False, allow_blank=True)
    limit = serializers.IntegerField(min_value=1, max_value=MOST_PRODUCTS, required=False)


class ReceiptSerializer(serializers.Serializer[Any]):
    quantity = serializers.IntegerField(min_value=1, max_value=MOST_PIECES)


class IdempotencyKeySerializer(serializers.Serializer[Any]):
    idempotency_key = serializers.CharField(max_length=200)


class StockSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    received = serializers.IntegerField()
    on_hand = serializers.IntegerField()
