"""Cron expressions are validated."""

from django.db import migrations, models

from django_q.models import validate_cron


class Migration(migrations.Migration):
    dependencies = [("django_q", "0011_auto_20200628_1055")]

    operations = [
        migrations.AlterField(
            model_name="schedule",
            name="cron",
            field=models.CharField(
                "Cron",
                blank=True,
                help_text="Cron expression",
                max_length=100,
                null=True,
                validators=[validate_cron],
            ),
        ),
    ]
