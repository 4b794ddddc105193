"""How a database carries out the claim of the ORM broker."""

from django.db import connections

from django_q.brokers.orm import ORM
from django_q.brokers.orm_sql import moment, statements


def plan_of_claim(broker: ORM) -> str:
    """Give the plan, in the words of the database."""
    connection = connections[broker.alias]
    sql, now = statements(connection), moment(connection)
    explain = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            values = [*[broker.list_key] * 3, now, 10, 10, now, "token"]
            cursor.execute(explain + sql.claim, values)
        else:
            cursor.execute(explain + sql.choose, [broker.list_key, 0, now, 10])
        return str(cursor.fetchall())
