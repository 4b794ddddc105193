"""Iterations: gatherings and their parts; indexes for pruning and groups."""

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0020_leases_ledger_rejected_heartbeat"),
    ]

    operations = [
        migrations.CreateModel(
            name="Gathering",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=32, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("total", models.PositiveIntegerField(null=True, verbose_name="Total")),
                ("queue", models.CharField(max_length=100, verbose_name="Queue")),
                (
                    "payload",
                    models.TextField(
                        help_text="The sealed package that follows.", verbose_name="Payload"
                    ),
                ),
                (
                    "created",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="Created"
                    ),
                ),
                ("sent", models.BooleanField(db_default=False, default=False, verbose_name="Sent")),
            ],
            options={
                "verbose_name": "Gathering",
                "verbose_name_plural": "Gatherings",
            },
        ),
        migrations.CreateModel(
            name="GatheredPart",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="ID")),
                ("gathering", models.CharField(max_length=32, verbose_name="Gathering")),
                ("position", models.PositiveIntegerField(verbose_name="Position")),
                ("success", models.BooleanField(verbose_name="Success")),
                ("result", models.TextField(null=True, verbose_name="Result")),
            ],
            options={
                "verbose_name": "Gathered part",
                "verbose_name_plural": "Gathered parts",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("gathering", "position"), name="django_q_part_once"
                    )
                ],
            },
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(fields=["success", "stopped"], name="django_q_task_ended"),
        ),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(fields=["group"], name="django_q_task_group"),
        ),
    ]
