"""A schedule's name may be left out in forms."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0007_ormq")]

    operations = [
        migrations.AlterField(
            model_name="schedule",
            name="name",
            field=models.CharField(
                "Name", blank=True, help_text="The group of its tasks.", max_length=100, null=True
            ),
        ),
    ]
