"""Migrations of modules, and what was done to them: kept on `default`, in the unit where `extract` runs."""

from django.db import models
from django.db.models import Q


class Migration(models.Model):
    """A module on its way from one unit to another. Open until it was aborted or completed."""

    id = models.CharField(primary_key=True, max_length=12)
    """Of [a-z0-9_]: part of the names of slots."""
    module = models.CharField(max_length=40)
    source = models.CharField(max_length=40)
    target = models.CharField(max_length=40)
    stage = models.CharField(max_length=20, blank=True)
    """The last one that was done."""
    reads_percent = models.FloatField(default=0)
    """The share of reads that `ramp` or `cutover` gave the target last."""
    verified_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["started_at"]
        constraints = [
            models.UniqueConstraint(fields=["module"], condition=Q(ended_at=None), name="extraction_one_open_migration")
        ]


class Record(models.Model):
    """What somebody did, and what came of it. Rows are added only: a trigger refuses the rest."""

    class What(models.TextChoices):
        BEGAN = "began"
        RESUMED = "resumed"
        STEP = "step"
        DONE = "done"
        REFUSED = "refused"
        FAILED = "failed"
        STOPPED = "stopped"
        OVERRIDDEN = "overridden"

    id = models.BigAutoField(primary_key=True)
    migration = models.ForeignKey(Migration, models.PROTECT, null=True, blank=True, related_name="records")
    """None where no migration was open."""
    module = models.CharField(max_length=40)
    at = models.DateTimeField(auto_now_add=True)
    who = models.CharField(max_length=200)
    """user@host"""
    stage = models.CharField(max_length=20)
    what = models.CharField(max_length=12, choices=What)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
