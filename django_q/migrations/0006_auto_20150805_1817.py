"""Schedules that repeat every so many minutes."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0005_auto_20150718_1506")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="minutes",
            field=models.PositiveSmallIntegerField(
                "Minutes", blank=True, help_text="Number of minutes for the Minutes type", null=True
            ),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="schedule_type",
            field=models.CharField(
                "Schedule Type",
                choices=[
                    ("O", "Once"),
                    ("I", "Minutes"),
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
    ]
