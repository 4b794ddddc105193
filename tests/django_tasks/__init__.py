"""Django's task framework: Django's own tests of it, run against our backend, and ours."""
