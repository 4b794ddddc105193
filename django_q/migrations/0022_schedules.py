"""Schedules: pause, seconds, arguments of any kind, errors, and those that settings declare."""

import django.core.validators
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0021_gatherings"),
    ]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="catch_up",
            field=models.BooleanField(
                blank=True,
                help_text="Make up for missed runs. Unknown: as the settings say; cron does not.",
                null=True,
                verbose_name="Catch up",
            ),
        ),
        migrations.AddField(
            model_name="schedule",
            name="declaration",
            field=models.CharField(
                editable=False, max_length=100, null=True, verbose_name="Declaration"
            ),
        ),
        migrations.AddField(
            model_name="schedule",
            name="enabled",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="What falls due while it is not is passed over.",
                verbose_name="Enabled",
            ),
        ),
        migrations.AddField(
            model_name="schedule",
            name="error",
            field=models.TextField(blank=True, editable=False, null=True, verbose_name="Error"),
        ),
        migrations.AddField(
            model_name="schedule",
            name="sealed",
            field=models.TextField(editable=False, null=True, verbose_name="Sealed arguments"),
        ),
        migrations.AddField(
            model_name="schedule",
            name="seconds",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Number of seconds for the Seconds type",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
                verbose_name="Seconds",
            ),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="schedule_type",
            field=models.CharField(
                choices=[
                    ("O", "Once"),
                    ("S", "Seconds"),
                    ("I", "Minutes"),
                    ("H", "Hourly"),
                    ("D", "Daily"),
                    ("W", "Weekly"),
                    ("BW", "Biweekly"),
                    ("M", "Monthly"),
                    ("BM", "Bimonthly"),
                    ("Q", "Quarterly"),
                    ("Y", "Yearly"),
                    ("C", "Cron"),
                ],
                default="O",
                help_text="How it repeats.",
                max_length=2,
                verbose_name="Schedule Type",
            ),
        ),
        migrations.AddIndex(
            model_name="schedule",
            index=models.Index(fields=["enabled", "next_run"], name="django_q_schedule_due"),
        ),
    ]
