"""The statements of the ORM broker, each with its intent, in the words of each database.

A row waits while `lock` is past; with `lock` in the future it is leased if it has a `token`, and
delayed if not. A row without `lock` is on hold: somebody emptied the field in the admin.

The index `(key, priority, lock, id)` gives what is ready of one priority in the order in which it
is lent; which priorities there are, mostly one, is found by leaps through the same index.
"""

import dataclasses
import functools
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from django_q.exceptions import ConfigurationError

#: What statements keep in braces, to be filled when they are run.
_LISTS = ("ids", "receipts", "rows")
#: How deep words stand in words.
_DEPTH = 5


@dataclasses.dataclass(frozen=True)
class _Words:
    """What differs from database to database, and phrases that several statements share."""

    #: Now or later, by the server's clock; takes the one parameter that `moment` gives.
    moment: str
    #: Seconds until `lock`.
    until: str
    #: What a receipt says of a row.
    receipt: str = """"id" || ':' || COALESCE("token", '')"""
    #: How chosen rows are kept from other consumers until they are lent.
    for_update: str = ""
    #: What makes a reader of ids take the primary key, not the index of the claim.
    by_id: str = ""
    quote: str = '"'
    or_overwrite: str = """ON CONFLICT ("key") DO UPDATE
        SET "value" = excluded."value", "expires" = excluded."expires"
    """
    queue: str = '"django_q_ormq"'
    heartbeat: str = '"django_q_heartbeat"'
    #: What is ready of one priority; oldest first.
    ready: str = 'FROM {queue} WHERE "key" = %s AND "priority" = {rank} AND "lock" <= {moment}'
    oldest: str = 'ORDER BY "lock", "id"'
    #: Not what is older than the last one lent, of its priority.
    since: str = """AND "lock" >=
        CASE WHEN {rank} = %s THEN TO_TIMESTAMP(%s) ELSE '-infinity'::timestamptz END"""
    rank: str = "%s"
    #: When the first row of a priority is ready.
    first: str = """(SELECT {until} FROM {queue} WHERE "key" = %s AND "priority" = ranks."priority"
        AND "lock" IS NOT NULL ORDER BY "lock" LIMIT 1)"""
    #: The priorities, highest first. An index scan for each (https://wiki.postgresql.org/wiki/
    #: Loose_indexscan), made only as far as they are asked for.
    ranks: str = """ranks ("priority") AS ({highest} UNION ALL {lower})"""
    highest: str = 'SELECT MAX("priority") FROM {queue} WHERE "key" = %s'
    lower: str = """SELECT (
            SELECT MAX(q."priority") FROM {queue} AS q
            WHERE q."key" = %s AND q."priority" < ranks."priority"
        ) FROM ranks WHERE ranks."priority" IS NOT NULL"""
    #: The same when one priority is known, at whose end are the leases, most of them dead.
    ranks_since: str = """ranks ("priority") AS (SELECT COALESCE(
        ({highest} AND "priority" > %s), %s::smallint) UNION ALL {lower})"""
    #: Priorities and when their first rows are ready.
    levels: str = """WITH RECURSIVE {ranks}
        SELECT "priority", {first} FROM ranks WHERE "priority" IS NOT NULL"""
    #: What the receipts of a list hold, and what has the ids of a list.
    held: str = '"id" IN ({ids}) AND {receipt} IN ({receipts})'
    listed: str = '"id" IN ({ids})'
    #: What is given back: without its count, if the parameter is 1; a strange row may have none.
    back: str = """"token" = NULL,
        "deliveries" = "deliveries" - CASE WHEN "deliveries" > 0 THEN %s ELSE 0 END"""
    #: `lock` of what was given back: earlier than all that waits; and the same for all, so that the
    #: ids give them their old order, whoever gave them back and when.
    front: str = "'2000-01-01 00:00:00'"


_WORDS = {
    "sqlite": _Words(
        moment="%s",
        until="""(JULIANDAY("lock") - JULIANDAY({moment})) * 86400""",
        by_id="NOT INDEXED",
        held="""{listed} AND {receipt} IN (SELECT "value" FROM JSON_EACH(%s))""",
        listed='"id" IN (SELECT "value" FROM JSON_EACH(%s))',
    ),
    # It stands still within a statement, which an index needs, and goes on within a transaction.
    "postgresql": _Words(
        moment="(STATEMENT_TIMESTAMP() + %s * INTERVAL '1 second')",
        until="""EXTRACT(EPOCH FROM "lock" - {moment})""",
        for_update="FOR UPDATE SKIP LOCKED",
        rank='ranks."priority"',
        held='"id" = ANY(%s::bigint[]) AND {receipt} = ANY(%s::text[])',
    ),
    # Not NOW(): Django stores UTC, and leaves the session's time zone as it finds it.
    "mysql": _Words(
        moment="(UTC_TIMESTAMP(6) + INTERVAL %s MICROSECOND)",
        until="""TIMESTAMPDIFF(MICROSECOND, {moment}, "lock") / 1000000""",
        receipt="""CONCAT("id", ':', COALESCE("token", ''))""",
        for_update="FOR UPDATE SKIP LOCKED",
        by_id="FORCE INDEX (PRIMARY)",
        quote="`",
        or_overwrite="""ON DUPLICATE KEY UPDATE
            "value" = VALUES("value"), "expires" = VALUES("expires")""",
        # It leaps for constants only, so each level is a statement: that below a given one, with
        # the lowest of all, after which there is none.
        levels="""SELECT "priority", {first}, (SELECT MIN("priority") FROM {queue} WHERE "key" = %s)
            FROM (SELECT "priority" FROM {queue} WHERE "key" = %s AND "priority" < %s
            ORDER BY "priority" DESC LIMIT 1) AS ranks""",
    ),
}


class Statements:
    """The statements for one kind of database: the templates below, filled with its words.

    What is left in braces are lists, see `orm_lists`.
    """

    #: Which priorities there are, and how long until something of each is ready. Takes no lock,
    #: whatever the database.
    levels = "{levels}"
    #: Choose what is lent of one priority, oldest first.
    choose = 'SELECT "id", "payload", "deliveries" + 1 {ready} {oldest} LIMIT %s {for_update}'
    #: Lend the chosen ones.
    lend = """UPDATE {queue} SET
        "lock" = {moment}, "token" = %s, "deliveries" = "deliveries" + 1 WHERE {listed}"""
    #: Both in one (PostgreSQL). Materialized, or the planner may choose anew for each row. Two
    #: limits: for one that it cannot see it takes the index, while for one it sees it would sort
    #: the whole queue whenever its statistics are older than a burst; the other one tells it that
    #: few rows are to be lent. A lower priority is looked at when those above gave too little.
    claim = """WITH RECURSIVE {ranks},
        chosen AS MATERIALIZED (
            SELECT ranks."priority", ready."id", ready."lock" FROM ranks CROSS JOIN LATERAL (
                SELECT "id", "lock" {ready} {oldest} LIMIT (SELECT %s) {for_update}
            ) AS ready LIMIT %s
        ),
        lent AS (
            UPDATE {queue} AS q
            SET "lock" = {moment}, "token" = %s, "deliveries" = q."deliveries" + 1
            FROM chosen WHERE q."id" = chosen."id"
            RETURNING q."id", q."payload", q."deliveries", q."priority", chosen."lock" AS was
        )
        SELECT "id", "payload", "deliveries", "priority", EXTRACT(EPOCH FROM was)::float8
        FROM lent ORDER BY "priority" DESC, was, "id"
    """
    #: The same from where the last one ended: what was lent is dead, but stands in the index until
    #: the next vacuum, and a claim from the beginning reads all of it.
    claim_since = claim.replace("{oldest}", "{since} {oldest}").replace("{ranks}", "{ranks_since}")
    #: Lend the row of which those who wait were told (PostgreSQL), in half the time of the above,
    #: which the planner needs for the priorities, and for a queue of any length.
    claim_told = """UPDATE {queue} SET
            "lock" = {moment}, "token" = %s, "deliveries" = "deliveries" + 1
        WHERE "id" = (SELECT "id" FROM {queue}
            WHERE "id" = %s AND "key" = %s AND "lock" <= {moment} {for_update})
        RETURNING "id", "payload", "deliveries"
    """
    #: Change nothing, but become the one who writes (SQLite). Who reads first and then writes in
    #: one transaction fails when somebody else wrote in between, and waiting does not help.
    write = 'UPDATE {queue} SET "token" = "token" WHERE "id" = 0'

    #: Keep packages; where the database tells them, give their ids.
    insert = 'INSERT INTO {queue} ("key", "payload", "lock", "priority") VALUES {rows}'
    insert_returning = f'{insert} RETURNING "id"'
    #: The same, and wake those who listen, once a statement (PostgreSQL): of one row, and of many.
    #: A text for any number of rows, with a line for each, costs both sides a fifth of what a list
    #: of places does.
    insert_and_tell = f"""{insert} RETURNING "id", (SELECT pg_notify(%s, ''))"""
    #: The same of a row that is ready once this statement ends: they are told which it is.
    insert_and_tell_which = f"""{insert} RETURNING "id", pg_notify(%s, "id"::text)"""
    insert_many_and_tell = """INSERT INTO {queue} ("key", "payload", "lock", "priority")
        SELECT %s, made.payload, {moment}, %s
        FROM STRING_TO_TABLE(%s, CHR(10)) WITH ORDINALITY AS made (payload, place)
        ORDER BY made.place RETURNING "id", (SELECT pg_notify(%s, ''))"""
    #: The same without delay or priority, for `orm_direct`.
    insert_plain_and_tell = """INSERT INTO {queue} ("key", "payload", "lock", "priority")
        VALUES ($1, $2, STATEMENT_TIMESTAMP(), 0) RETURNING "id", pg_notify($3, "id"::text)"""
    insert_many_plain_and_tell = """INSERT INTO {queue} ("key", "payload", "lock", "priority")
        SELECT $1, made.payload, STATEMENT_TIMESTAMP(), 0
        FROM STRING_TO_TABLE($2, CHR(10)) WITH ORDINALITY AS made (payload, place)
        ORDER BY made.place RETURNING "id", (SELECT pg_notify($3, ''))"""
    #: The same for `orm_sqlite`.
    insert_plain = """INSERT INTO {queue} ("key", "payload", "lock", "priority")
        VALUES (?, ?, ?, 0)"""
    #: Wake those who listen (PostgreSQL).
    tell = "SELECT pg_notify(%s, '')"

    #: Take away, prolong, find what some receipts still hold.
    acknowledge = "DELETE FROM {queue} WHERE {held}"
    renew = 'UPDATE {queue} SET "lock" = {moment} WHERE {held}'
    who_holds = "SELECT {receipt} FROM {queue} WHERE {held}"
    #: Give back what some receipts still hold: to the front, or held back for a time.
    release = 'UPDATE {queue} SET {back}, "lock" = {front} WHERE {held}'
    release_later = 'UPDATE {queue} SET {back}, "lock" = {moment} WHERE {held}'
    #: The receipts of one holder. By `lock`, only what is leased or delayed is searched.
    held_by = """SELECT {receipt}, "id" FROM {queue}
        WHERE "key" = %s AND "priority" = %s AND "lock" > {moment} AND "token" LIKE %s"""

    #: See whether a package is there.
    there = 'SELECT 1 FROM {queue} WHERE "id" = %s'
    #: Take away one package, or all.
    delete = 'DELETE FROM {queue} WHERE "key" = %s AND "id" = %s'
    purge = 'DELETE FROM {queue} WHERE "key" = %s'
    #: Count what waits, and what is leased, of one priority; of the former so many rows at most.
    waiting = """SELECT COUNT(*) FROM (SELECT 1 FROM {queue} WHERE "key" = %s AND "priority" = %s
        AND "lock" <= {moment} {oldest} LIMIT %s) AS counted"""
    leased = """SELECT COUNT(*) FROM {queue}
        WHERE "key" = %s AND "priority" = %s AND "lock" > {moment} AND "token" IS NOT NULL"""

    #: Count what waits in a part of the table: see `orm_estimate`.
    pages = """SELECT pg_relation_size('{queue}'::regclass) / current_setting('block_size')::int"""
    sample_pages = """SELECT COUNT(*) FROM {queue} TABLESAMPLE SYSTEM (%s)
        WHERE "key" = %s AND "lock" <= {moment}"""
    ends = 'SELECT (SELECT MIN("id") FROM {queue}), (SELECT MAX("id") FROM {queue})'
    beside = """(SELECT MAX("id") FROM {queue} WHERE "id" < %s),
        (SELECT MIN("id") FROM {queue} WHERE "id" >= %s)"""
    sample_ids = """SELECT %s, COUNT(*) FROM {queue} {by_id}
        WHERE "id" BETWEEN %s AND %s AND "key" = %s AND "lock" <= {moment}"""

    #: Heartbeats: write one again, or for the first time; forget old ones; read one, or several.
    beat = 'UPDATE {heartbeat} SET "value" = %s, "expires" = {moment} WHERE "key" = %s'
    first_beat = """INSERT INTO {heartbeat} ("value", "expires", "key")
        VALUES (%s, {moment}, %s) {or_overwrite}"""
    forget_expired = 'DELETE FROM {heartbeat} WHERE "expires" <= {moment}'
    stat = 'SELECT "value" FROM {heartbeat} WHERE "expires" > {moment} AND "key" = %s'
    stats_by_prefix = """SELECT "value" FROM {heartbeat}
        WHERE "expires" > {moment} AND SUBSTR("key", 1, %s) = %s ORDER BY "key"
    """

    def __init__(self, words: _Words) -> None:
        self.moment = words.moment
        # A word may hold words; none holds itself.
        phrases = dataclasses.asdict(words) | {name: f"{{{name}}}" for name in _LISTS}
        for name, template in vars(Statements).items():
            if isinstance(template, str) and not name.startswith("_"):
                text = template
                for _ in range(_DEPTH):
                    text = text.format_map(phrases)
                setattr(self, name, " ".join(text.replace('"', words.quote).split()))


def statements(connection: BaseDatabaseWrapper) -> Statements:
    """Give the statements for this connection's database; made once for each kind.

    Raises ConfigurationError for a database that has none.
    """
    skips = connection.vendor != "mysql" or connection.features.has_select_for_update_skip_locked
    return _statements(connection.vendor, skips)


@functools.cache
def _statements(vendor: str, skips_locked: bool) -> Statements:
    if vendor not in _WORDS:
        known = ", ".join(sorted(_WORDS))
        raise ConfigurationError(
            f'Q_CLUSTER["orm"] names a database of the kind {vendor}; '
            f"the ORM broker knows {known}. Choose another alias, or another broker."
        )
    words = _WORDS[vendor]
    if not skips_locked:
        # MariaDB before 10.6: consumers wait for each other, for the length of one statement.
        words = dataclasses.replace(words, for_update=" FOR UPDATE")
    return Statements(words)


def moment(connection: BaseDatabaseWrapper, seconds: float = 0.0) -> Any:
    """Give the parameter that makes a statement's moment: so long from now, by its clock.

    SQLite's clock is that of the machine.
    """
    if connection.vendor == "postgresql":
        return float(seconds)
    if connection.vendor == "mysql":
        return round((seconds + _offset(connection)) * 1_000_000)
    then = timezone.now() + timedelta(seconds=seconds)
    if then.tzinfo is UTC is connection.timezone:
        return str(then)[:-6]  # what Django makes of it, in a fifth of the time
    return connection.ops.adapt_datetimefield_value(then)


def _offset(connection: BaseDatabaseWrapper) -> float:
    """Give the seconds between UTC and the times that Django stores on this connection."""
    zone = connection.timezone
    now = datetime.now(zone) if zone else datetime.now().astimezone()
    offset = now.utcoffset()
    return offset.total_seconds() if offset else 0.0
