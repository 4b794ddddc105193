"""Of a task that waits it is known which backend of Django's task framework sent it.

Old producers may go on writing: the column may be null.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0027_order_of_results"),
    ]

    operations = [
        migrations.AddField(
            model_name="tracked",
            name="task_backend",
            field=models.CharField(editable=False, max_length=100, null=True),
        ),
    ]
