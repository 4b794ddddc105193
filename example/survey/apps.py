"""The app as Django sees it."""

from django.apps import AppConfig


class SurveyConfig(AppConfig):
    """Survey of the standard library."""

    name = "survey"
    verbose_name = "Survey"
