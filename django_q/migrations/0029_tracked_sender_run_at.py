"""Of a task that waits for its next delivery it is known when its sender said that it may run.

Old producers may go on writing: the column may be null.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0028_tracked_task_backend"),
    ]

    operations = [
        migrations.AddField(
            model_name="tracked",
            name="sender_run_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
