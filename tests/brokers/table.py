"""Shows, after the tests of the brokers, what each of them can do: the table of the docs.

A plugin of pytest, for `tests/conftest.py`.
"""

from typing import Any

from django.utils.module_loading import import_string

from django_q.testing.flags import as_text, flags_table

#: Those of the table, by its headings.
BROKERS = {
    "ORM": "django_q.brokers.orm.ORM",
    "Redis": "django_q.brokers.redis_broker.Redis",
    "Redis list": "django_q.brokers.redis_list.RedisList",
    "SQS": "django_q.brokers.aws_sqs.Sqs",
    "Disque": "django_q.brokers.disque.Disque",
    "IronMQ": "django_q.brokers.ironmq.IronMQBroker",
    "Memory": "django_q.brokers.memory.Memory",
}


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, where tests of brokers were run."""
    passed = terminalreporter.stats.get("passed", ())
    if any(report.nodeid.startswith("tests/brokers/") for report in passed):
        brokers = {name: import_string(path) for name, path in BROKERS.items()}
        terminalreporter.section("what each broker can do")
        terminalreporter.write_line(as_text(flags_table(brokers)))
