"""Permissions of their own for sending tasks and rejected packages once more."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("django_q", "0022_schedules"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="success",
            options={
                "ordering": ["-stopped"],
                "permissions": [("resubmit_success", "Can resubmit Successful task")],
                "verbose_name": "Successful task",
                "verbose_name_plural": "Successful tasks",
            },
        ),
        migrations.AlterModelOptions(
            name="failure",
            options={
                "ordering": ["-stopped"],
                "permissions": [("resubmit_failure", "Can resubmit Failed task")],
                "verbose_name": "Failed task",
                "verbose_name_plural": "Failed tasks",
            },
        ),
        migrations.AlterModelOptions(
            name="rejected",
            options={
                "permissions": [("requeue_rejected", "Can requeue Rejected package")],
                "verbose_name": "Rejected package",
                "verbose_name_plural": "Rejected packages",
            },
        ),
    ]
