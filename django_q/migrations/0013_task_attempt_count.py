"""How often a task was run."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0012_auto_20200702_1608")]

    operations = [
        migrations.AddField(
            model_name="task",
            name="attempt_count",
            field=models.IntegerField(
                "Attempt count", default=0, help_text="How often the task was run."
            ),
        ),
    ]
