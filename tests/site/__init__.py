"""The Django project of the tests; the test process and the clusters it starts use it alike."""
