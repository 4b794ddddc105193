"""Schedules for one cluster among several."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0013_task_attempt_count")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="cluster",
            field=models.CharField(
                "Cluster",
                blank=True,
                default=None,
                help_text="Name of the target cluster",
                max_length=100,
                null=True,
            ),
        ),
    ]
