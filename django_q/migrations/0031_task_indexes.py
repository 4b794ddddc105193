"""Each index makes a result dearer to write: only tasks of a group stand in the one by group.

MySQL has no partial indexes: there all tasks stand in it, as before.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0030_tables_on_postgresql")]

    operations = [
        migrations.RemoveIndex(model_name="task", name="django_q_task_group"),
        migrations.AddIndex(
            model_name="task",
            index=models.Index(
                fields=["group"],
                name="django_q_task_grouped",
                condition=models.Q(group__isnull=False),
            ),
        ),
    ]
