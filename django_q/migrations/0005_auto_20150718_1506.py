"""Names of schedules, groups of tasks."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0004_auto_20150710_1043")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="name",
            field=models.CharField(
                "Name", help_text="The group of its tasks.", max_length=100, null=True
            ),
        ),
        migrations.AddField(
            model_name="task",
            name="group",
            field=models.CharField(
                "Group",
                editable=False,
                help_text="Label that this task shares with others.",
                max_length=100,
                null=True,
            ),
        ),
    ]
