"""Where unique tasks wait, so that their keys are free when the queue is emptied."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0025_gatherings_kept"),
    ]

    operations = [
        migrations.AddField(
            model_name="uniquekey",
            name="queue",
            field=models.CharField(max_length=100, null=True, verbose_name="Queue"),
        ),
    ]
