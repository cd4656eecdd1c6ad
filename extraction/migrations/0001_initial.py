from pathlib import Path
from typing import Any

import django.db.models.deletion
from django.db import migrations, models


class OnPostgreSQL(migrations.RunSQL):
    """A project may develop on another database, from which nothing is extracted."""

    def database_forwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, *states)

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, *states)


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Migration",
            fields=[
                ("id", models.CharField(max_length=12, primary_key=True, serialize=False)),
                ("module", models.CharField(max_length=40)),
                ("source", models.CharField(max_length=40)),
                ("target", models.CharField(max_length=40)),
                ("stage", models.CharField(blank=True, max_length=20)),
                ("reads_percent", models.FloatField(default=0)),
                ("verified_at", models.DateTimeField(blank=True, null=True)),
                ("started_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ["started_at"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("module",), name="extraction_one_open_migration"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Record",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("module", models.CharField(max_length=40)),
                ("at", models.DateTimeField(auto_now_add=True)),
                ("who", models.CharField(max_length=200)),
                ("stage", models.CharField(max_length=20)),
                (
                    "what",
                    models.CharField(
                        choices=[
                            ("began", "Began"),
                            ("resumed", "Resumed"),
                            ("step", "Step"),
                            ("done", "Done"),
                            ("refused", "Refused"),
                            ("failed", "Failed"),
                            ("stopped", "Stopped"),
                            ("overridden", "Overridden"),
                        ],
                        max_length=12,
                    ),
                ),
                ("evidence", models.JSONField(default=dict)),
                (
                    "migration",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="records",
                        to="extraction.migration",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        OnPostgreSQL(
            Path(__file__).with_name("append_only.sql").read_text(),
            "drop trigger append_only on extraction_record; drop trigger append_only_all on extraction_record;"
            " drop function extraction_append_only();",
        ),
    ]
