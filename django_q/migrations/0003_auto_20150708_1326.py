"""Tasks get their own id as key, instead of a number."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0002_auto_20150630_1624")]

    operations = [
        migrations.RemoveField(model_name="task", name="id"),
        migrations.AddField(
            model_name="task",
            name="id",
            field=models.CharField(
                "Task id",
                editable=False,
                help_text="32 hexadecimal digits, drawn when the task was created.",
                max_length=32,
                primary_key=True,
                serialize=False,
            ),
        ),
    ]
