"""How a database carries out the claim of the ORM broker."""

from django.db import connections

from django_q.brokers.orm import ORM
from django_q.brokers.orm_sql import moment, statements


def plan_of_claim(broker: ORM, since: float | None = None) -> str:
    """Give the plan, in the words of the database; `since` the last one, on PostgreSQL."""
    connection = connections[broker.alias]
    sql, now = statements(connection), moment(connection)
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            key, rest = broker.list_key, [10, 10, now, "token"]
            if since is None:
                cursor.execute(explain + sql.claim, [key, key, key, now, *rest])
            else:
                values = [key, 0, 0, key, key, now, 0, since, *rest]
                cursor.execute(explain + sql.claim_since, values)
        else:
            cursor.execute(explain + sql.choose, [broker.list_key, 0, now, 10])
        return str(cursor.fetchall())
