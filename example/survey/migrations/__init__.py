"""Tables of the example app."""
