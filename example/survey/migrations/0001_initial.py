"""The table of surveys."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates ``Survey``."""

    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Survey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("group", models.CharField(editable=False, max_length=32, unique=True)),
                ("total", models.PositiveIntegerField(editable=False)),
                ("started", models.DateTimeField(auto_now_add=True)),
            ],
            options={"ordering": ["-pk"]},
        ),
    ]
