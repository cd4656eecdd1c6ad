import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("extraction", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="ComparedChunk",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("identity", models.CharField(max_length=200)),
                ("table", models.CharField(max_length=63)),
                ("number", models.PositiveIntegerField()),
                ("above", models.JSONField(null=True)),
                ("upto", models.JSONField(null=True)),
                ("rows", models.BigIntegerField(null=True)),
                ("equal_at", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField(auto_now_add=True)),
                (
                    "migration",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="compared",
                        to="extraction.migration",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("migration", "table", "number"), name="extraction_one_of_each_chunk"
                    )
                ],
            },
        ),
    ]
