"""The example app: a survey of the standard library, one task for each file."""
