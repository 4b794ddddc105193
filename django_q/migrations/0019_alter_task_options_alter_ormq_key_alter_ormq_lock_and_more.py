"""Names for the admin. The last step that django-q2 1.11 knows."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("django_q", "0018_task_success_index")]

    operations = [
        migrations.AlterModelOptions(
            name="task",
            options={
                "ordering": ["-stopped"],
                "verbose_name": "Task",
                "verbose_name_plural": "Tasks",
            },
        ),
    ]
