"""Leases, times of enqueueing, anchors of schedules; the ledger, what was rejected, heartbeats.

Old producers may go on writing: new columns of their tables are null or have a database default.
"""

from django.db import migrations, models
from django.utils import timezone


class Migration(migrations.Migration):
    dependencies = [("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="enqueued",
            field=models.DateTimeField(
                "Enqueued at", editable=False, help_text="When the task was sent.", null=True
            ),
        ),
        migrations.AddField(
            model_name="schedule",
            name="anchor",
            field=models.DateTimeField("Anchor", editable=False, null=True),
        ),
        migrations.AlterField(
            model_name="ormq",
            name="id",
            field=models.BigAutoField(primary_key=True, serialize=False, verbose_name="ID"),
        ),
        migrations.AddField(
            model_name="ormq",
            name="deliveries",
            field=models.PositiveIntegerField(
                "Deliveries",
                db_default=0,
                default=0,
                editable=False,
                help_text="How often it was leased.",
            ),
        ),
        migrations.AddField(
            model_name="ormq",
            name="token",
            field=models.CharField(
                "Token",
                blank=True,
                editable=False,
                help_text="Names the lease.",
                max_length=64,
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="ormq",
            index=models.Index(fields=["key", "lock", "id"], name="django_q_ormq_claim"),
        ),
        migrations.CreateModel(
            name="Ledger",
            fields=[
                (
                    "key",
                    models.CharField(
                        "Key",
                        help_text="Task id, or queue and tracking id of a package not opened yet.",
                        max_length=100,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "deaths",
                    models.PositiveIntegerField(
                        "Deaths",
                        db_default=0,
                        default=0,
                        help_text="Workers that died while they ran it.",
                    ),
                ),
                (
                    "lapses",
                    models.PositiveIntegerField(
                        "Lapses",
                        db_default=0,
                        default=0,
                        help_text="Leases that nobody renewed in time.",
                    ),
                ),
                (
                    "verdict",
                    models.TextField(
                        "Verdict",
                        blank=True,
                        help_text="If set, the task is not run again but fails with this text.",
                        null=True,
                    ),
                ),
                (
                    "reason",
                    models.TextField(
                        "Reason", blank=True, default="", help_text="What went wrong last."
                    ),
                ),
                ("updated", models.DateTimeField("Updated", auto_now=True)),
            ],
            options={"verbose_name": "Ledger entry", "verbose_name_plural": "Ledger"},
        ),
        migrations.CreateModel(
            name="Rejected",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="ID")),
                ("queue", models.CharField("Queue", max_length=100)),
                ("payload", models.TextField("Payload")),
                ("reason", models.TextField("Reason")),
                ("rejected", models.DateTimeField("Rejected", db_index=True, default=timezone.now)),
                ("digest", models.CharField("Digest", editable=False, max_length=64, unique=True)),
            ],
            options={
                "verbose_name": "Rejected package",
                "verbose_name_plural": "Rejected packages",
            },
        ),
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("key", models.CharField("Key", max_length=200, primary_key=True, serialize=False)),
                ("value", models.TextField("Value")),
                ("expires", models.DateTimeField("Expires", db_index=True)),
            ],
            options={"verbose_name": "Heartbeat", "verbose_name_plural": "Heartbeats"},
        ),
    ]
