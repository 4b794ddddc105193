"""How long gatherings and their parts are kept.

Old clerks may go on writing parts: their column has a database default.
"""

import django.db.models.functions.datetime
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0024_tasks_of_today"),
    ]

    operations = [
        migrations.AddField(
            model_name="gatheredpart",
            name="created",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(),
                db_index=True,
                default=django.utils.timezone.now,
                verbose_name="Created",
            ),
        ),
        migrations.AddField(
            model_name="gathering",
            name="until",
            field=models.DateTimeField(null=True, verbose_name="Until"),
        ),
    ]
