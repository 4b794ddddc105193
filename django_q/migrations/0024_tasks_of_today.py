"""Tasks under way, attempts, cancellations, delayed packages; what keeps tasks from each other.

Old producers may go on writing: new columns of their tables are null or have a database default.
"""

import django.utils.timezone
from django.db import migrations, models

import django_q.models.tracked


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0023_permissions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Cancellation",
            fields=[
                (
                    "task",
                    models.CharField(
                        max_length=32, primary_key=True, serialize=False, verbose_name="Task id"
                    ),
                ),
                ("kill", models.BooleanField(default=False, verbose_name="Kill")),
                (
                    "asked",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="Asked at"
                    ),
                ),
                (
                    "until",
                    models.DateTimeField(
                        db_index=True,
                        default=django_q.models.tracked.kept_until,
                        verbose_name="Until",
                    ),
                ),
            ],
            options={
                "verbose_name": "Cancellation",
                "verbose_name_plural": "Cancellations",
            },
        ),
        migrations.CreateModel(
            name="Pace",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=100, primary_key=True, serialize=False, verbose_name="Key"
                    ),
                ),
                ("next", models.FloatField(verbose_name="Next")),
            ],
            options={
                "verbose_name": "Pace",
                "verbose_name_plural": "Paces",
            },
        ),
        migrations.CreateModel(
            name="Tracked",
            fields=[
                (
                    "id",
                    models.CharField(
                        max_length=32, primary_key=True, serialize=False, verbose_name="Task id"
                    ),
                ),
                ("name", models.CharField(max_length=100, verbose_name="Name")),
                ("func", models.CharField(max_length=256, verbose_name="Function")),
                ("group", models.CharField(max_length=100, null=True, verbose_name="Group")),
                ("queue", models.CharField(max_length=100, verbose_name="Queue")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("scheduled", "Scheduled"),
                            ("running", "Running"),
                        ],
                        max_length=10,
                        verbose_name="State",
                    ),
                ),
                ("args", models.TextField(null=True, verbose_name="Arguments")),
                ("kwargs", models.TextField(null=True, verbose_name="Keyword arguments")),
                ("enqueued", models.DateTimeField(db_index=True, verbose_name="Enqueued at")),
                ("run_at", models.DateTimeField(null=True, verbose_name="Not before")),
                (
                    "priority",
                    models.SmallIntegerField(db_default=0, default=0, verbose_name="Priority"),
                ),
                (
                    "attempt",
                    models.PositiveIntegerField(db_default=1, default=1, verbose_name="Attempt"),
                ),
                ("started", models.DateTimeField(null=True, verbose_name="Started at")),
                ("worker", models.CharField(max_length=100, null=True, verbose_name="Worker")),
                (
                    "seen",
                    models.DateTimeField(
                        db_index=True, default=django.utils.timezone.now, verbose_name="Seen"
                    ),
                ),
                ("done", models.FloatField(null=True, verbose_name="Done")),
                ("total", models.FloatField(null=True, verbose_name="Total")),
                (
                    "text",
                    models.CharField(
                        db_default="", default="", max_length=200, verbose_name="Text"
                    ),
                ),
            ],
            options={
                "verbose_name": "Task under way",
                "verbose_name_plural": "Tasks under way",
                "ordering": ["-enqueued"],
                "permissions": [("cancel_tracked", "Can cancel Task under way")],
                "indexes": [
                    models.Index(fields=["state", "enqueued"], name="django_q_tracked_state"),
                    models.Index(fields=["queue", "enqueued"], name="django_q_tracked_queue"),
                ],
            },
        ),
        migrations.CreateModel(
            name="UniqueKey",
            fields=[
                (
                    "key",
                    models.CharField(
                        max_length=100, primary_key=True, serialize=False, verbose_name="Key"
                    ),
                ),
                ("task", models.CharField(db_index=True, max_length=32, verbose_name="Task id")),
                ("scope", models.CharField(max_length=10, verbose_name="Scope")),
                ("until", models.DateTimeField(db_index=True, null=True, verbose_name="Until")),
            ],
            options={
                "verbose_name": "Unique key",
                "verbose_name_plural": "Unique keys",
            },
        ),
        migrations.AddField(
            model_name="gathering",
            name="priority",
            field=models.SmallIntegerField(db_default=0, default=0, verbose_name="Priority"),
        ),
        migrations.AddField(
            model_name="gathering",
            name="run_at",
            field=models.DateTimeField(null=True, verbose_name="Not before"),
        ),
        migrations.AddField(
            model_name="ormq",
            name="priority",
            field=models.SmallIntegerField(
                db_default=0,
                default=0,
                help_text="Higher ones are lent first.",
                verbose_name="Priority",
            ),
        ),
        migrations.RemoveIndex(model_name="ormq", name="django_q_ormq_claim"),
        migrations.AddIndex(
            model_name="ormq",
            index=models.Index(
                fields=["key", "priority", "lock", "id"], name="django_q_ormq_claim"
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="error",
            field=models.CharField(
                editable=False,
                help_text="What it raised.",
                max_length=256,
                null=True,
                verbose_name="Error",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="cause",
            field=models.CharField(
                editable=False,
                help_text="Why it failed.",
                max_length=10,
                null=True,
                verbose_name="Cause",
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="worker",
            field=models.CharField(
                editable=False,
                help_text="Where it ran.",
                max_length=100,
                null=True,
                verbose_name="Worker",
            ),
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="ID")),
                ("task", models.CharField(max_length=32, verbose_name="Task id")),
                ("number", models.PositiveIntegerField(verbose_name="Attempt")),
                ("started", models.DateTimeField(verbose_name="Started at")),
                ("stopped", models.DateTimeField(db_index=True, verbose_name="Stopped at")),
                ("worker", models.CharField(max_length=100, null=True, verbose_name="Worker")),
                ("error", models.CharField(max_length=256, verbose_name="Error")),
                ("traceback", models.TextField(verbose_name="Traceback")),
                ("again_at", models.DateTimeField(verbose_name="Next attempt at")),
            ],
            options={
                "verbose_name": "Failed attempt",
                "verbose_name_plural": "Failed attempts",
                "ordering": ["task", "number"],
                "constraints": [
                    models.UniqueConstraint(fields=("task", "number"), name="django_q_attempt_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="Delayed",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="ID")),
                ("task", models.CharField(db_index=True, max_length=32, verbose_name="Task id")),
                ("queue", models.CharField(max_length=100, verbose_name="Queue")),
                ("payload", models.TextField(verbose_name="Payload")),
                (
                    "priority",
                    models.SmallIntegerField(db_default=0, default=0, verbose_name="Priority"),
                ),
                ("due", models.DateTimeField(verbose_name="Due")),
            ],
            options={
                "verbose_name": "Delayed task",
                "verbose_name_plural": "Delayed tasks",
                "indexes": [models.Index(fields=["queue", "due"], name="django_q_delayed_due")],
            },
        ),
        migrations.CreateModel(
            name="Permit",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=100, verbose_name="Key")),
                ("place", models.PositiveIntegerField(verbose_name="Place")),
                ("task", models.CharField(db_index=True, max_length=32, verbose_name="Task id")),
                ("until", models.DateTimeField(verbose_name="Until")),
            ],
            options={
                "verbose_name": "Permit",
                "verbose_name_plural": "Permits",
                "constraints": [
                    models.UniqueConstraint(fields=("key", "place"), name="django_q_permit_once")
                ],
            },
        ),
    ]
