"""The table of the ORM broker."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("django_q", "0006_auto_20150805_1817")]

    operations = [
        migrations.CreateModel(
            name="OrmQ",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "key",
                    models.CharField(
                        "Cluster key", help_text="Name of the target cluster", max_length=100
                    ),
                ),
                (
                    "payload",
                    models.TextField(
                        "Payload", help_text="The sealed package. A changed one is refused."
                    ),
                ),
                (
                    "lock",
                    models.DateTimeField(
                        "Lock until", help_text="Prevent any cluster from pulling until", null=True
                    ),
                ),
            ],
            options={"verbose_name": "Queued task", "verbose_name_plural": "Queued tasks"},
        ),
    ]
