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


class ComparedChunk(models.Model):
    """Rows of a table, by a range of their key, that a comparison under way is to compare or has found equal.

    Borders are keys of rows. All of them are gone when the comparison is done.
    """

    migration = models.ForeignKey(Migration, models.CASCADE, related_name="compared")
    identity = models.CharField(max_length=200)
    """Of the comparison: what was found counts for the same home, epoch, copy and definition of tables."""
    table = models.CharField(max_length=63)
    number = models.PositiveIntegerField()
    above = models.JSONField(null=True)
    upto = models.JSONField(null=True)
    rows = models.BigIntegerField(null=True)
    equal_at = models.DateTimeField(null=True)
    """When the snapshot was taken in which it was equal."""
    changed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["migration", "table", "number"], name="extraction_one_of_each_chunk")
        ]
