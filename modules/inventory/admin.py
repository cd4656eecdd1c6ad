from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from contracts.runtime.admin import ModuleAdmin, money
from modules.inventory import service
from modules.inventory.models import Product, Reservation


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    receive = forms.IntegerField(
        required=False, min_value=1, max_value=1_000_000, help_text="Pieces that came in and go on the shelf now."
    )

    class Meta:
        model = Product
        fields = ["sku", "name", "description", "category", "price_cents", "is_on_sale"]
        labels = {"price_cents": "Price in cents"}
        help_texts = {"price_cents": "450 is 4.50 EUR."}


@admin.register(Product)
class ProductAdmin(ModuleAdmin):
    form = ProductForm
    list_display = ["sku", "name", "category", "price", "is_on_sale", "on_hand", "received"]
    list_filter = ["is_on_sale", "category"]
    list_select_related = ["stock"]
    search_fields = ["sku", "name"]
    ordering = ["sku"]
    price = money("price_cents")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """A sku is what orders know a product by: it never changes."""
        return ["sku", "on_hand", "received"] if obj is not None else []

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        if change:
            obj.save()
        else:
            service.product_add(product=obj)
        if quantity := form.cleaned_data.get("receive"):
            service.stock_receive(sku=obj.sku, quantity=quantity)

    @admin.display(ordering="stock__on_hand")
    def on_hand(self, product: Product) -> int:
        return product.stock.on_hand

    @admin.display(ordering="stock__received")
    def received(self, product: Product) -> int:
        return product.stock.received


@admin.register(Reservation)
class ReservationAdmin(ModuleAdmin):
    """To look at only: reservations follow from orders."""

    list_display = ["order_id", "state", "pieces", "created_at"]
    list_filter = ["state"]
    search_fields = ["order_id"]
    ordering = ["-created_at"]
    fields = ["order_id", "state", "pieces", "created_at"]
    readonly_fields = ["order_id", "state", "pieces", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reservation]:
        found: QuerySet[Reservation] = super().get_queryset(request)
        return found.prefetch_related("lines")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def pieces(self, reservation: Reservation) -> str:
        return ", ".join(str(line) for line in reservation.lines.all())
