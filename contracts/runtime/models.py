"""Tables of the runtime; every module's schema has its own set, reached by `.using(module)`."""

from django.contrib.postgres.functions import TransactionNow
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class OutboxEvent(models.Model):
    """An event that happened: written in the transaction that made it so."""

    seq = models.BigAutoField(primary_key=True)
    id = models.UUIDField(unique=True)
    type = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    data = models.JSONField()
    traceparent = models.CharField(max_length=55, blank=True)
    occurred_at = models.DateTimeField(db_default=TransactionNow())

    class Meta:
        db_table = "outbox"
        verbose_name = "event"

    def __str__(self) -> str:
        return f"{self.type} {self.key}"


class Delivery(models.Model):
    """One event on its way to one subscriber. Names the subscriber, never a transport: modules move."""

    class State(models.TextChoices):
        PENDING = "pending"
        DONE = "done"
        DEAD = "dead"

    id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(OutboxEvent, models.CASCADE, db_column="seq", related_name="deliveries", db_index=False)
    subscriber = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=State, db_default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(db_default=0)
    available_at = models.DateTimeField(db_default=Now())
    lease_until = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True, db_default="")
    done_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "delivery"
        verbose_name_plural = "deliveries"
        constraints = [models.UniqueConstraint(fields=["event", "subscriber"], name="delivery_once")]
        indexes = [
            models.Index(fields=["available_at"], name="delivery_claim", condition=Q(state="pending")),
            models.Index(fields=["subscriber", "key", "event"], name="delivery_head", condition=~Q(state="done")),
        ]

    def __str__(self) -> str:
        return f"{self.subscriber} {self.state}"


class InboxEntry(models.Model):
    """An event that a subscriber has handled: written in the transaction of its effect."""

    pk = models.CompositePrimaryKey("subscriber", "event_id")
    subscriber = models.CharField(max_length=200)
    event_id = models.UUIDField()
    handled_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "inbox"
        verbose_name_plural = "inbox entries"
        indexes = [models.Index(fields=["handled_at"], name="inbox_age")]

    def __str__(self) -> str:
        return f"{self.subscriber} {self.event_id}"


class IdempotentAnswer(models.Model):
    """The answer that was given under an idempotency key: written in the transaction of its effect."""

    pk = models.CompositePrimaryKey("scope", "key")
    scope = models.CharField(max_length=200)
    key = models.CharField(max_length=200)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "idempotency"
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"


class AuditEntry(models.Model):
    """Who changed what through the admin: in the module's own schema and transaction."""

    id = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(db_default=Now())
    actor_id = models.UUIDField()
    actor = models.CharField(max_length=254)
    model = models.CharField(max_length=100)
    object_id = models.CharField(max_length=100)
    object_repr = models.CharField(max_length=200)
    action = models.CharField(max_length=10)
    changes = models.JSONField(default=list)

    class Meta:
        db_table = "audit_log"
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["model", "object_id"], name="audit_object")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor} {self.action} {self.model} {self.object_id}"
