"""Models, migrations, admin pages and commands as projects know, subclass and call them."""

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import load_command_class

import django_q.migrations
from django_q.admin import FailAdmin, QueueAdmin, ScheduleAdmin, TaskAdmin, resubmit_task
from django_q.models import Failure, OrmQ, Schedule, Success, Task

#: Model -> field -> type, and in brackets the width.
FIELDS = {
    "Task": """
        id CharField(32) name CharField(100) func CharField(256) hook CharField(256)
        args PickledObjectField kwargs PickledObjectField result PickledObjectField
        group CharField(100) cluster CharField(100) started DateTimeField stopped DateTimeField
        success BooleanField attempt_count IntegerField
        """,
    "Schedule": """
        id AutoField name CharField(100) func CharField(256) hook CharField(256) args TextField
        kwargs TextField schedule_type CharField(2) minutes PositiveSmallIntegerField
        repeats IntegerField next_run DateTimeField cron CharField(100) task CharField(100)
        cluster CharField(100) intended_date_kwarg CharField(100)
        """,
    "OrmQ": "key CharField(100) payload TextField lock DateTimeField",
}
#: Until 0014 those of Django Q 1.3.9, until 0019 those of django-q2 1.11.
MIGRATIONS = """
    0001_initial 0002_auto_20150630_1624 0003_auto_20150708_1326 0004_auto_20150710_1043
    0005_auto_20150718_1506 0006_auto_20150805_1817 0007_ormq 0008_auto_20160224_1026
    0009_auto_20171009_0915 0010_auto_20200610_0856 0011_auto_20200628_1055
    0012_auto_20200702_1608 0013_task_attempt_count 0014_schedule_cluster
    0015_alter_schedule_schedule_type 0016_schedule_intended_date_kwarg 0017_task_cluster_alter
    0018_task_success_index 0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more
    """
TYPES = {
    "ONCE": "O", "MINUTES": "I", "HOURLY": "H", "DAILY": "D", "WEEKLY": "W", "BIWEEKLY": "BW",
    "MONTHLY": "M", "BIMONTHLY": "BM", "QUARTERLY": "Q", "YEARLY": "Y", "CRON": "C",
}  # fmt: skip
#: Command -> the arguments it takes.
COMMANDS = {
    "qcluster": [["--run-once"], ["-n", "mails"], ["--name", "mails"]],
    "qmonitor": [["--run-once"]],
    "qinfo": [["--config"], ["--ids"]],
    "qmemory": [["--run-once"], ["--workers"]],
}
#: Page -> where it is, and the columns, search and filters that those who subclass it name.
PAGES = {
    TaskAdmin: (Success, "name group func cluster started stopped time_taken", "name func group",
                "group cluster"),
    FailAdmin: (Failure, "name group func cluster started stopped short_result",
                "name func group", "group cluster"),
    ScheduleAdmin: (Schedule, "id name func schedule_type repeats cluster next_run get_last_run "
                    "get_success", "name func", "next_run schedule_type cluster"),
    QueueAdmin: (OrmQ, "id key name group func lock task_id", "key", "key"),
}  # fmt: skip


@pytest.mark.parametrize("model", FIELDS)
def test_a_model_has_the_fields_it_had(model: str) -> None:
    fields = {field.name: field for field in apps.get_model("django_q", model)._meta.fields}
    words = FIELDS[model].split()

    for name, kind in zip(words[::2], words[1::2], strict=True):
        field: Any = fields[name]
        width = f"({field.max_length})" if field.max_length else ""
        # Or a subclass of it.
        assert kind in [f"{each.__name__}{width}" for each in type(field).__mro__], name


def test_tables_and_orders_are_the_old_ones() -> None:
    tables = {model._meta.db_table for model in (Task, Success, Failure, Schedule, OrmQ)}

    assert tables == {"django_q_task", "django_q_schedule", "django_q_ormq"}
    assert [model._meta.ordering for model in (Task, Success, Failure)] == [["-stopped"]] * 3
    assert Schedule._meta.ordering == ["next_run"]
    assert {index.name for index in Task._meta.indexes} >= {"success_index"}
    assert (Success._meta.proxy, Failure._meta.proxy) == (True, True)
    assert apps.get_app_config("django_q").label == "django_q"


def test_schedules_have_the_types_they_had() -> None:
    assert {name: getattr(Schedule, name) for name in TYPES} == TYPES
    assert {value for value, _ in Schedule.TYPE} >= set(TYPES.values())


def test_the_migrations_have_their_names() -> None:
    folder = Path(str(django_q.migrations.__file__)).parent

    names = sorted(path.stem for path in folder.glob("0*.py"))

    assert names[:19] == MIGRATIONS.split()
    assert all(name > "0020" for name in names[19:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_a_page_can_be_replaced_by_a_subclass_of_it(page: Any) -> None:
    model, columns, search, filters = PAGES[page]
    site = admin.AdminSite()
    names = {"search_fields": search, "list_filter": filters, "list_display": columns}

    site.register(model, type("Own", (page,), {k: (*v.split(),) for k, v in names.items()}))

    assert isinstance(admin.site._registry[model], page)
    assert site._registry[model].check() == []


def test_the_action_can_be_imported_and_named() -> None:
    assert resubmit_task.short_description
    for page in (TaskAdmin, FailAdmin):
        assert resubmit_task in page.actions or "resubmit_task" in page.actions


@pytest.mark.parametrize(
    ("name", "arguments"), [(name, line) for name in COMMANDS for line in COMMANDS[name]]
)
def test_a_command_takes_its_arguments(name: str, arguments: list[str]) -> None:
    parser = load_command_class("django_q", name).create_parser("manage.py", name)

    parser.parse_args(arguments)
