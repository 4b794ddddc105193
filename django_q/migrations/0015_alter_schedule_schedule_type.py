"""Every second week, every second month: types of two letters."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0014_schedule_cluster")]

    operations = [
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
            ),
        ),
    ]
