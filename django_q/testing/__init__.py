"""What projects need to test with django_q; `BrokerSuite` is the contract of a broker as tests."""

from django_q.testing.broker_suite import BrokerSuite

__all__ = ["BrokerSuite"]
