"""A project on Django Q or django-q2, in a Python environment of its own; see `environments`."""
