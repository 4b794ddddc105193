"""The first tables: schedules, and tasks with a number as key."""

from django.db import migrations, models
from django.utils import timezone
from picklefield.fields import PickledObjectField


class Migration(migrations.Migration):
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Schedule",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "func",
                    models.CharField(
                        "Function", help_text="e.g. module.tasks.function", max_length=256
                    ),
                ),
                (
                    "hook",
                    models.CharField(
                        "Hook",
                        blank=True,
                        help_text="e.g. module.tasks.result_function",
                        max_length=256,
                        null=True,
                    ),
                ),
                (
                    "args",
                    models.CharField(
                        "Arguments",
                        blank=True,
                        help_text="e.g. 1, 2, 'John'",
                        null=True,
                        max_length=256,
                    ),
                ),
                (
                    "kwargs",
                    models.CharField(
                        "Keyword arguments",
                        blank=True,
                        help_text="e.g. x=1, y=2, name='John'",
                        null=True,
                        max_length=256,
                    ),
                ),
                (
                    "schedule_type",
                    models.CharField(
                        "Schedule Type",
                        choices=[
                            ("O", "Once"),
                            ("H", "Hourly"),
                            ("D", "Daily"),
                            ("W", "Weekly"),
                            ("M", "Monthly"),
                            ("Q", "Quarterly"),
                            ("Y", "Yearly"),
                        ],
                        default="O",
                        help_text="How it repeats.",
                        max_length=1,
                    ),
                ),
                (
                    "repeats",
                    models.SmallIntegerField(
                        "Repeats", default=-1, help_text="n = n times, -1 = forever"
                    ),
                ),
                (
                    "next_run",
                    models.DateTimeField(
                        "Next Run",
                        default=timezone.now,
                        help_text="When it is due next.",
                        null=True,
                    ),
                ),
                (
                    "task",
                    models.CharField(
                        "Last task id",
                        editable=False,
                        help_text="Created last.",
                        max_length=100,
                        null=True,
                    ),
                ),
            ],
            options={
                "verbose_name": "Scheduled task",
                "verbose_name_plural": "Scheduled tasks",
                "ordering": ["next_run"],
            },
        ),
        migrations.CreateModel(
            name="Task",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        "Name",
                        editable=False,
                        help_text="Four words made from the id, or the name given to the task.",
                        max_length=100,
                    ),
                ),
                (
                    "func",
                    models.CharField(
                        "Function", help_text="e.g. module.tasks.function", max_length=256
                    ),
                ),
                (
                    "hook",
                    models.CharField(
                        "Hook",
                        help_text="e.g. module.tasks.result_function",
                        max_length=256,
                        null=True,
                    ),
                ),
                (
                    "args",
                    PickledObjectField(
                        "Arguments",
                        editable=False,
                        help_text="Positional arguments of the call.",
                        null=True,
                    ),
                ),
                (
                    "kwargs",
                    PickledObjectField(
                        "Keyword arguments",
                        editable=False,
                        help_text="Keyword arguments of the call.",
                        null=True,
                    ),
                ),
                (
                    "result",
                    PickledObjectField(
                        "Result",
                        editable=False,
                        help_text="What the function returned, or the error as text.",
                        null=True,
                    ),
                ),
                (
                    "started",
                    models.DateTimeField(
                        "Started at",
                        editable=False,
                        help_text="Start of the run; before release 3 the time of enqueueing.",
                    ),
                ),
                (
                    "stopped",
                    models.DateTimeField("Stopped at", editable=False, help_text="End of the run."),
                ),
                (
                    "success",
                    models.BooleanField(
                        "Success",
                        default=True,
                        editable=False,
                        help_text="Whether the function returned.",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Failure",
            fields=[],
            options={
                "verbose_name": "Failed task",
                "verbose_name_plural": "Failed tasks",
                "proxy": True,
            },
            bases=("django_q.task",),
        ),
        migrations.CreateModel(
            name="Success",
            fields=[],
            options={
                "verbose_name": "Successful task",
                "verbose_name_plural": "Successful tasks",
                "proxy": True,
            },
            bases=("django_q.task",),
        ),
    ]
