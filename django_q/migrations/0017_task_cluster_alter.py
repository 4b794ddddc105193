"""Which cluster ran a task."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0016_schedule_intended_date_kwarg")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="cluster",
            field=models.CharField(
                "Cluster",
                blank=True,
                default=None,
                help_text="Name of the cluster that ran it.",
                max_length=100,
                null=True,
            ),
        ),
    ]
