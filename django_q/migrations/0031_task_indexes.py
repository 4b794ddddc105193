"""Each index makes a result dearer to write: of those by group, one is left, of tasks in a group.

Nothing looks for successes by group, name and function. MySQL has no partial indexes: there all
tasks stand in it, as before.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0030_tables_on_postgresql")]

    operations = [
        migrations.RemoveIndex(model_name="task", name="success_index"),
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
