"""Shows, after the tests of the brokers, what each of them can do: the table of the docs.

A plugin of pytest, for `tests/conftest.py`.
"""

from typing import Any

from django_q.testing.flags import as_text, flags_table, our_brokers


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print the table, where tests of brokers were run."""
    passed = terminalreporter.stats.get("passed", ())
    if any(report.nodeid.startswith("tests/brokers/") for report in passed):
        terminalreporter.section("what each broker can do")
        terminalreporter.write_line(as_text(flags_table(our_brokers())))
