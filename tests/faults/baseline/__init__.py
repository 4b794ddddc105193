"""What our figures are compared with: django-q2 from PyPI, in an environment of its own."""
