import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import modules.inventory.models


class Migration(migrations.Migration):
    """Reordered by hand: a composite key needs its columns in the same operation."""

    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                (
                    "sku",
                    models.CharField(
                        db_collation="C",
                        max_length=40,
                        primary_key=True,
                        serialize=False,
                        validators=[modules.inventory.models.validate_sku],
                        verbose_name="SKU",
                    ),
                ),
                ("name", models.CharField(max_length=200)),
                ("description", models.TextField(blank=True, max_length=5000)),
                ("category", models.CharField(db_index=True, max_length=80)),
                ("price_cents", models.PositiveIntegerField(help_text="Euro cents.")),
                ("is_on_sale", models.BooleanField(default=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("sku__regex", "^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")),
                        name="product_sku_form",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Stock",
            fields=[
                (
                    "product",
                    models.OneToOneField(
                        db_column="sku",
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="stock",
                        serialize=False,
                        to="inventory.product",
                    ),
                ),
                ("received", models.BigIntegerField(default=0)),
                ("on_hand", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name_plural": "stock",
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("on_hand__gte", 0)), name="stock_on_hand_not_negative"),
                    models.CheckConstraint(
                        condition=models.Q(("on_hand__lte", models.F("received"))), name="stock_on_hand_was_received"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Reservation",
            fields=[
                ("order_id", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("reserved", "Reserved"),
                            ("sold", "Sold"),
                            ("released", "Released"),
                            ("rejected", "Rejected"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["reserved", "sold", "released", "rejected"])),
                        name="reservation_state",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ReservationLine",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "reservation_id",
                        "product_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "reservation",
                    models.ForeignKey(
                        db_column="order_id",
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="lines",
                        to="inventory.reservation",
                    ),
                ),
                (
                    "product",
                    models.ForeignKey(
                        db_column="sku",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="inventory.product",
                    ),
                ),
                ("quantity", models.IntegerField()),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(condition=models.Q(("quantity__gt", 0)), name="line_quantity_positive")
                ],
            },
        ),
    ]
