"""A database of Django Q or django-q2, at any of its migrations, becomes one of ours.

`STEPS` is what django-q2 1.11's own migrations do to a SQLite database, column by column, recorded
from one. Ours have to leave the same tables after each step; then it makes no difference whose
migrations led to a step, and going on from each of them proves the upgrade.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

import django_q.migrations
from tests.site import databases

#: Migration to the columns it adds or changes: type, then `null` or `key`.
STEPS: dict[str, dict[str, str]] = {
    "0001_initial": {
        "schedule.id": "integer key",
        "schedule.func": "varchar(256)",
        "schedule.hook": "varchar(256) null",
        "schedule.args": "varchar(256) null",
        "schedule.kwargs": "varchar(256) null",
        "schedule.schedule_type": "varchar(1)",
        "schedule.repeats": "smallint",
        "schedule.next_run": "datetime null",
        "schedule.task": "varchar(100) null",
        "task.id": "integer key",
        "task.name": "varchar(100)",
        "task.func": "varchar(256)",
        "task.hook": "varchar(256) null",
        "task.args": "text null",
        "task.kwargs": "text null",
        "task.result": "text null",
        "task.started": "datetime",
        "task.stopped": "datetime",
        "task.success": "bool",
    },
    "0002_auto_20150630_1624": {"schedule.args": "text null", "schedule.kwargs": "text null"},
    "0003_auto_20150708_1326": {"task.id": "varchar(32) key"},
    "0004_auto_20150710_1043": {},
    "0005_auto_20150718_1506": {
        "schedule.name": "varchar(100) null",
        "task.group": "varchar(100) null",
    },
    "0006_auto_20150805_1817": {"schedule.minutes": "smallint unsigned null"},
    "0007_ormq": {
        "ormq.id": "integer key",
        "ormq.key": "varchar(100)",
        "ormq.payload": "text",
        "ormq.lock": "datetime null",
    },
    "0008_auto_20160224_1026": {},
    "0009_auto_20171009_0915": {"schedule.repeats": "integer"},
    "0010_auto_20200610_0856": {},
    "0011_auto_20200628_1055": {"schedule.cron": "varchar(100) null"},
    "0012_auto_20200702_1608": {},
    "0013_task_attempt_count": {"task.attempt_count": "integer"},
    "0014_schedule_cluster": {"schedule.cluster": "varchar(100) null"},
    "0015_alter_schedule_schedule_type": {"schedule.schedule_type": "varchar(2)"},
    "0016_schedule_intended_date_kwarg": {"schedule.intended_date_kwarg": "varchar(100) null"},
    "0017_task_cluster_alter": {"task.cluster": "varchar(100) null"},
    "0018_task_success_index": {"task.success_index": "index of group, name, func where"},
    "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more": {},
}
LAST_OF_Q2 = list(STEPS)[-1]
LATEST = max(path.stem for path in Path(django_q.migrations.__path__[0]).glob("0*.py"))


@contextlib.contextmanager
def new_database(folder: Path) -> Iterator[Any]:
    """A connection to an empty SQLite database of its own."""
    with databases.guest("migrations", databases.sqlite(str(folder))) as connection:
        yield connection


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Any]:
    """An empty database."""
    with new_database(tmp_path) as connection:
        yield connection


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The tables of a database that is ours from the beginning."""
    with new_database(tmp_path_factory.mktemp("fresh")) as connection:
        migrate(connection, LATEST)
        return schema(connection)


def migrate(connection: Any, name: str) -> None:
    MigrationExecutor(connection).migrate([("django_q", name)])


def schema(connection: Any) -> dict[str, str]:
    """What a SQLite database has in our tables, in the form of `STEPS`."""
    found = {}
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        tables = [name for (name,) in cursor.fetchall() if name.startswith("django_q_")]
        for table in tables:
            short = table.removeprefix("django_q_")
            cursor.execute(f"PRAGMA table_info({table})")
            for _, column, kind, is_filled, default, is_key in cursor.fetchall():
                words = [kind.lower(), "" if is_filled else "null", "key" if is_key else ""]
                words.append(f"default {default}" if default is not None else "")
                found[f"{short}.{column}"] = " ".join(filter(None, words))
            found |= {f"{short}.{name}": text for name, text in indexes(cursor, table)}
    return found


def indexes(cursor: Any, table: str) -> Iterator[tuple[str, str]]:
    cursor.execute(f"PRAGMA index_list({table})")
    for _, name, is_unique, origin, is_partial in cursor.fetchall():
        cursor.execute(f"PRAGMA index_info({name})")
        columns = ", ".join(column for _, _, column in cursor.fetchall())
        kind = "unique" if is_unique else "index"
        if origin != "pk":
            yield name, f"{kind} of {columns}{' where' if is_partial else ''}"


def test_every_step_leaves_the_tables_that_django_q2_leaves(sqlite: Any) -> None:
    expected: dict[str, str] = {}
    for name, changes in STEPS.items():
        expected |= changes
        migrate(sqlite, name)

        assert schema(sqlite) == expected, name


@pytest.mark.parametrize("name", STEPS)
def test_a_database_at_any_step_migrates_to_ours(
    wanted: dict[str, str], sqlite: Any, name: str
) -> None:
    migrate(sqlite, name)
    insert(sqlite, "schedule", func="math.sqrt", schedule_type="M", repeats=-1)

    migrate(sqlite, LATEST)

    assert schema(sqlite) == wanted
    assert count(sqlite, "schedule") == 1


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_rows_of_django_q2_survive_and_more_may_come(database: str) -> None:
    connection = connections[database]
    moment = "2026-01-31 10:00:00"
    task = {"name": "n", "func": "math.sqrt", "attempt_count": 1, "success": True}
    task |= {"started": moment, "stopped": moment}
    try:
        migrate(connection, LAST_OF_Q2)
        for payload in ("first", "second"):
            insert(connection, "ormq", key="default", payload=payload, lock=moment)
        insert(connection, "task", id="a" * 32, **task)
    finally:
        migrate(connection, LATEST)
    # A producer that was not upgraded yet writes the columns it knows.
    insert(connection, "ormq", key="default", payload="third", lock=moment)
    insert(connection, "schedule", func="math.sqrt", schedule_type="M", repeats=-1)
    insert(connection, "task", id="b" * 32, **task)

    with connection.cursor() as cursor:
        cursor.execute("SELECT id, payload, deliveries, token FROM django_q_ormq ORDER BY id")
        rows = cursor.fetchall()
    assert [row[1:] for row in rows] == [(text, 0, None) for text in ("first", "second", "third")]
    assert rows[0][0] < rows[1][0] < rows[2][0]
    assert (count(connection, "task"), count(connection, "schedule")) == (2, 1)


@pytest.mark.parametrize("database", databases.ALIASES, indirect=True)
def test_numbers_in_the_queue_exceed_32_bits(database: str) -> None:
    insert(connections[database], "ormq", id=2**40, key="default", payload="far")

    assert count(connections[database], "ormq") == 1


def test_the_models_have_no_change_without_a_migration(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command asks every database how far it is, also one whose server a test has ended.
    for alias in {*connections} - {database}:
        monkeypatch.delitem(connections.settings, alias)

    call_command("makemigrations", "django_q", check=True, dry_run=True, verbosity=0)


def insert(connection: Any, table: str, **values: Any) -> None:
    names = ", ".join(map(connection.ops.quote_name, values))
    marks = ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO django_q_{table} ({names}) VALUES ({marks})",  # noqa: S608
            list(values.values()),
        )


def count(connection: Any, table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT COUNT(*) FROM django_q_{table}")  # noqa: S608
        return int(cursor.fetchone()[0])
