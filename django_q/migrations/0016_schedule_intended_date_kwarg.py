"""A schedule can tell its task the time that was meant."""

from django.db import migrations, models

from django_q.models import validate_kwarg


class Migration(migrations.Migration):
    dependencies = [("django_q", "0015_alter_schedule_schedule_type")]

    operations = [
        migrations.AddField(
            model_name="schedule",
            name="intended_date_kwarg",
            field=models.CharField(
                "Intended date kwarg",
                blank=True,
                help_text="Name of kwarg to pass intended schedule date",
                max_length=100,
                null=True,
                validators=[validate_kwarg],
            ),
        ),
    ]
