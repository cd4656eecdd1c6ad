from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from contracts.runtime.admin import ModuleAdmin, money
from modules.payments.models import Payment
from modules.payments.service import payment_ask_again


@admin.register(Payment)
class PaymentAdmin(ModuleAdmin):
    """Shows payments; the saga alone changes them."""

    list_display = ("order_id", "created_at", "state", "amount", "attempts", "due_at")
    list_filter = ("state", "currency")
    search_fields = ("order_id__exact", "id__exact", "reference__exact")
    search_help_text = "The whole id of an order or a payment, or the provider's reference"
    ordering = ("-order_id",)
    show_full_result_count = False
    actions = ("ask_again",)
    fields = readonly_fields = (
        "order_id",
        "created_at",
        "state",
        "amount",
        "card",
        "customer_id",
        "is_stock_reserved",
        "reference",
        "reason",
        "attempts",
        "due_at",
    )
    amount = money("amount_cents", currency="currency")

    @admin.action(description="Ask the provider again now", permissions=["ask_again"])
    def ask_again(self, request: HttpRequest, queryset: QuerySet[Payment]) -> None:
        asked = payment_ask_again(order_ids=list(queryset.values_list("order_id", flat=True)))
        self.message_user(request, f"Open payments that the provider is asked about within seconds: {asked}.")

    def has_ask_again_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("payments.change_payment"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
