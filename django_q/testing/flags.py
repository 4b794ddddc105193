"""What brokers can do, as a table: the docs and the test output show the same one."""

from collections.abc import Iterable, Mapping

from django.utils.module_loading import import_string

from django_q.brokers import Broker

#: Our brokers, by the headings of their columns.
BROKERS: Mapping[str, str] = {
    "ORM": "django_q.brokers.orm.ORM",
    "Redis": "django_q.brokers.redis_broker.Redis",
    "Redis list": "django_q.brokers.redis_list.RedisList",
    "SQS": "django_q.brokers.aws_sqs.Sqs",
    "Disque": "django_q.brokers.disque.Disque",
    "IronMQ": "django_q.brokers.ironmq.IronMQBroker",
    "Memory": "django_q.brokers.memory.Memory",
}

#: Flag of `Broker` -> its meaning in a table.
FLAGS: Mapping[str, str] = {
    "has_receipts": "What is not acknowledged comes back",
    "can_renew": "Leases are renewed",
    "can_release": "Given back at once",
    "release_counts": "Counts what is given back as delivered",
    "portable_receipts": "Receipts hold in other processes",
    "has_transactions": "Takes part in transactions",
    "can_delay": "Holds packages back",
    "can_prioritise": "Lends higher priorities first",
    "can_delete": "Deletes a waiting package",
    "carries_bytes": "Takes bytes as they are",
    "is_shared": "Seen by other processes",
    "is_metered": "Every call is a paid request",
}


def our_brokers() -> dict[str, type[Broker]]:
    """Give the classes of all our brokers; the client library of each has to be there."""
    return {name: import_string(path) for name, path in BROKERS.items()}


def flags_table(brokers: Mapping[str, type[Broker]]) -> list[list[str]]:
    """Give the rows of the table, the heading first: a row a flag, a column a broker."""
    rows = [["", *brokers]]
    for flag, meaning in FLAGS.items():
        words = ["yes" if getattr(broker, flag) else "no" for broker in brokers.values()]
        rows.append([meaning, *words])
    most = [str(broker.max_lease or "any") for broker in brokers.values()]
    longest = [_longest(broker) for broker in brokers.values()]
    return [*rows, ["Holds back for at most", *longest], ["Packages in one fetch", *most]]


def _longest(broker: type[Broker]) -> str:
    if not broker.can_delay:
        return "-"
    return "any" if broker.max_delay is None else f"{broker.max_delay:g} s"


def as_text(rows: Iterable[list[str]]) -> str:
    """Lay the rows out for a terminal."""
    cells = [list(row) for row in rows]
    widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
