from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7


class Order(models.Model):
    """What a customer ordered, and how it went. The customer is another module's, so a plain id."""

    class State(models.TextChoices):
        PENDING = "pending"
        CONFIRMED = "confirmed"
        CANCELLED = "cancelled"

    class Reason(models.TextChoices):
        OUT_OF_STOCK = "out_of_stock"
        DECLINED = "declined"
        EXPIRED = "expired"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    customer_id = models.UUIDField()
    idempotency_key = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, default=State.PENDING)
    reason = models.CharField(max_length=20, choices=Reason, blank=True)
    total_cents = models.PositiveBigIntegerField()
    currency = models.CharField(max_length=3)
    deliver_to = models.CharField(max_length=500)
    placed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=("customer_id", "idempotency_key"), name="order_once_per_key"),
            models.CheckConstraint(
                condition=Q(state="cancelled", reason__gt="") | (~Q(state="cancelled") & Q(reason="")),
                name="order_reason_when_cancelled",
            ),
        ]
        indexes = [
            models.Index(fields=("customer_id", "-id"), name="order_of_customer"),
            models.Index(fields=("placed_at",), name="order_pending", condition=Q(state="pending")),
        ]

    def __str__(self) -> str:
        return f"{self.id} {self.state}"


class OrderLine(models.Model):
    """A product as it was named and priced when it was ordered."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines", db_index=False)
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    unit_price_cents = models.PositiveBigIntegerField()

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(fields=("order", "sku"), name="order_line_once_per_sku"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_line_has_quantity"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.sku}"


class TimelineEntry(models.Model):
    """A step of an order's saga; each happens once, whatever is delivered twice."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="timeline", db_index=False)
    at = models.DateTimeField(default=timezone.now)
    what = models.CharField(max_length=30)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("id",)
        constraints = [models.UniqueConstraint(fields=("order", "what"), name="timeline_once_per_step")]
        verbose_name_plural = "timeline entries"

    def __str__(self) -> str:
        return f"{self.at:%H:%M:%S} {self.what}"
