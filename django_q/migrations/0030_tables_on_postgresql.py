"""What the tables need on PostgreSQL beside their columns; no other database has words for it.

The queue is a table whose rows come and go. Results are looked up by their whole ids.
"""

from typing import Any

from django.db import migrations

#: Half of a page is kept for the leased versions of its rows, which then need no other page; the
#: vacuum comes when so many rows are gone, however long the queue is; and packages are not
#: compressed for the seconds that they are there.
_QUEUE = (
    """ALTER TABLE "django_q_ormq" SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0,
        autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0)""",
    'ALTER TABLE "django_q_ormq" ALTER COLUMN "payload" SET STORAGE EXTERNAL',
)
_QUEUE_BEFORE = (
    """ALTER TABLE "django_q_ormq" RESET (fillfactor, autovacuum_vacuum_scale_factor,
        autovacuum_vacuum_threshold, autovacuum_vacuum_cost_delay)""",
    'ALTER TABLE "django_q_ormq" ALTER COLUMN "payload" SET STORAGE EXTENDED',
)
#: The index that Django makes beside a primary key of text, for `LIKE 'beginning%'`.
_INDEX_OF_BEGINNINGS = """
    SELECT of_index.relname FROM pg_index
    JOIN pg_class AS of_index ON of_index.oid = pg_index.indexrelid
    JOIN pg_opclass ON pg_opclass.oid = pg_index.indclass[0]
    JOIN pg_attribute ON attrelid = pg_index.indrelid AND attnum = pg_index.indkey[0]
    WHERE pg_index.indrelid = '"django_q_task"'::regclass AND pg_index.indnatts = 1
        AND NOT pg_index.indisunique AND attname = 'id' AND opcname LIKE '%pattern_ops'
"""


def _set_up_queue(apps: Any, schema_editor: Any) -> None:
    _execute(schema_editor, _QUEUE)


def _set_back_queue(apps: Any, schema_editor: Any) -> None:
    _execute(schema_editor, _QUEUE_BEFORE)


def _execute(schema_editor: Any, statements: tuple[str, ...]) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for statement in statements:
            schema_editor.execute(statement)


def _drop_index(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(_INDEX_OF_BEGINNINGS)
            names = [name for (name,) in cursor.fetchall()]
        for name in names:
            schema_editor.execute(f"DROP INDEX {schema_editor.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [("django_q", "0029_tracked_sender_run_at")]

    operations = [
        migrations.RunPython(_set_up_queue, _set_back_queue, hints={"model_name": "ormq"}),
        migrations.RunPython(_drop_index, migrations.RunPython.noop, hints={"model_name": "task"}),
    ]
