"""Only successes with a group stand in `success_index`, which begins with the group.

Most tasks have none, and their names are random: each row changed a page of its own.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0031_task_indexes")]

    operations = [
        migrations.RemoveIndex(model_name="task", name="success_index"),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["group", "name", "func"],
                name="success_index",
                condition=models.Q(success=True, group__isnull=False),
            ),
        ),
    ]
