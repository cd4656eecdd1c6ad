from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from contracts.runtime.admin import ModuleAdmin, money
from modules.orders.models import Order, OrderLine, TimelineEntry


class _ReadOnly:
    """The saga alone changes orders."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class OrderLineInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = OrderLine
    fields = readonly_fields = ("sku", "name", "quantity", "unit_price")
    unit_price = money("unit_price_cents", currency="order.currency")


class TimelineInline(_ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = TimelineEntry
    fields = ("at", "what", "detail")
    ordering = ("at",)


@admin.register(Order)
class OrderAdmin(_ReadOnly, ModuleAdmin):
    list_display = ("id", "placed_at", "state", "reason", "total", "customer_id")
    list_filter = ("state", "reason")
    search_fields = ("id__exact", "customer_id__exact", "idempotency_key")
    search_help_text = "The whole id of an order or a customer, or a part of an idempotency key"
    ordering = ("-id",)
    show_full_result_count = False
    inlines = (OrderLineInline, TimelineInline)
    fields = readonly_fields = (
        "id",
        "placed_at",
        "state",
        "reason",
        "total",
        "deliver_to",
        "customer_id",
        "idempotency_key",
    )
    total = money("total_cents", currency="currency")
