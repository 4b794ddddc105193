"""Pickles at the highest protocol."""

from django.db import migrations
from picklefield.fields import PickledObjectField


class Migration(migrations.Migration):
    dependencies = [("django_q", "0009_auto_20171009_0915")]

    operations = [
        migrations.AlterField(
            model_name="task",
            name="args",
            field=PickledObjectField(
                "Arguments",
                editable=False,
                help_text="Positional arguments of the call.",
                null=True,
                protocol=-1,
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="kwargs",
            field=PickledObjectField(
                "Keyword arguments",
                editable=False,
                help_text="Keyword arguments of the call.",
                null=True,
                protocol=-1,
            ),
        ),
        migrations.AlterField(
            model_name="task",
            name="result",
            field=PickledObjectField(
                "Result",
                editable=False,
                help_text="What the function returned, or the error as text.",
                null=True,
                protocol=-1,
            ),
        ),
    ]
