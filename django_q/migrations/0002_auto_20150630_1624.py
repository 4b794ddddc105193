"""Arguments of any length."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0001_initial")]

    operations = [
        migrations.AlterField(
            model_name="schedule",
            name="args",
            field=models.TextField(
                "Arguments", blank=True, help_text="e.g. 1, 2, 'John'", null=True
            ),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="kwargs",
            field=models.TextField(
                "Keyword arguments", blank=True, help_text="e.g. x=1, y=2, name='John'", null=True
            ),
        ),
    ]
