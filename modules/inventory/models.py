import re

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

SKU = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def validate_sku(sku: str) -> None:
    """Raises ValidationError for what cannot stand in a URL as it is."""
    if not SKU.fullmatch(sku):
        raise ValidationError(
            "A SKU begins with a letter or digit; up to 39 letters, digits, dots, hyphens and underscores follow."
        )


class Product(models.Model):
    sku = models.CharField(
        "SKU",
        primary_key=True,
        max_length=40,
        db_collation="C",  # one order of sku on every server: pages and locks follow it
        validators=[validate_sku],
    )
    name = models.CharField(max_length=200)
    description = models.TextField(max_length=5000, blank=True)
    category = models.CharField(max_length=80, db_index=True)
    price_cents = models.PositiveIntegerField(help_text="Euro cents.")
    is_on_sale = models.BooleanField(default=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(sku__regex=rf"^{SKU.pattern}$"), name="product_sku_form"),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Stock(models.Model):
    """Pieces of a product. Apart from it, so that an edited product never writes back a stale count."""

    product = models.OneToOneField(Product, models.CASCADE, primary_key=True, db_column="sku", related_name="stock")
    received = models.BigIntegerField(default=0)
    on_hand = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "stock"
        constraints = [
            models.CheckConstraint(condition=Q(on_hand__gte=0), name="stock_on_hand_not_negative"),
            models.CheckConstraint(condition=Q(on_hand__lte=F("received")), name="stock_on_hand_was_received"),
        ]

    def __str__(self) -> str:
        return f"{self.product_id}: {self.on_hand} of {self.received}"


class Reservation(models.Model):
    """What an order holds. A released one without lines came before its order and keeps it from holding any."""

    class State(models.TextChoices):
        RESERVED = "reserved"
        SOLD = "sold"
        RELEASED = "released"
        REJECTED = "rejected"

    HOLDING = (State.RESERVED, State.SOLD)

    order_id = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=10, choices=State)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=["reserved", "sold", "released", "rejected"]), name="reservation_state"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.state}"


class ReservationLine(models.Model):
    pk = models.CompositePrimaryKey("reservation_id", "product_id")
    reservation = models.ForeignKey(
        Reservation, models.CASCADE, db_column="order_id", related_name="lines", db_index=False
    )
    product = models.ForeignKey(Product, models.PROTECT, db_column="sku", related_name="lines")
    quantity = models.IntegerField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(quantity__gt=0), name="line_quantity_positive")]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.product_id}"
