"""What the sender of a task said of its order stays with its result.

Old workers may go on writing: both columns may be null.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0026_queue_of_unique_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="priority",
            field=models.SmallIntegerField(editable=False, null=True, verbose_name="Priority"),
        ),
        migrations.AddField(
            model_name="task",
            name="run_at",
            field=models.DateTimeField(editable=False, null=True, verbose_name="Not before"),
        ),
    ]
