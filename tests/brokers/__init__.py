"""A `BrokerSuite` subclass for each broker, on real servers, and what is special to each."""
