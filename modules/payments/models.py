from django.db import models
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7


class Payment(models.Model):
    """The payment of one order. Its id is the idempotency key under which the provider knows it."""

    class State(models.TextChoices):
        EXPECTED = "expected"
        CHARGING = "charging"
        CAPTURED = "captured"
        DECLINED = "declined"
        VOIDED = "voided"
        REFUND_DUE = "refund_due"
        REFUNDED = "refunded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    order_id = models.UUIDField(unique=True)
    state = models.CharField(max_length=10, choices=State, default=State.EXPECTED)
    customer_id = models.UUIDField(null=True)
    amount_cents = models.PositiveBigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    card = models.CharField(max_length=64, blank=True)
    is_stock_reserved = models.BooleanField(default=False)
    reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    """When the provider is asked again, if no task and no callback came first; null when nothing is open there."""
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=("expected", "voided"))
                | Q(amount_cents__isnull=False, customer_id__isnull=False),
                name="payment_amount_known_when_asked",
            ),
            models.CheckConstraint(
                condition=Q(due_at__isnull=True) | Q(state__in=("charging", "voided", "refund_due")),
                name="payment_due_only_when_open",
            ),
        ]
        indexes = [models.Index(fields=("due_at",), name="payment_due", condition=Q(due_at__isnull=False))]

    def __str__(self) -> str:
        return f"{self.order_id} {self.state}"


class SandboxCharge(models.Model):
    """The sandbox provider's own books: what the outside company would remember. Only sandbox.py looks here."""

    class State(models.TextChoices):
        PROCESSING = "processing"
        CAPTURED = "captured"
        DECLINED = "declined"
        CANCELLED = "cancelled"
        REFUNDED = "refunded"

    key = models.UUIDField(primary_key=True)
    state = models.CharField(max_length=10, choices=State)
    amount_cents = models.PositiveBigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    card = models.CharField(max_length=64, blank=True)
    reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    callbacks_left = models.PositiveSmallIntegerField(default=0)
    callback_at = models.DateTimeField(null=True)
    callback_attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "sandbox_charge"
        indexes = [
            models.Index(fields=("callback_at",), name="sandbox_callback_due", condition=Q(callback_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.state}"
