"""The Django application. Reads no settings before Django is ready."""

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed
from django.utils.functional import lazy

from django_q.checks import check_journal, check_settings
from django_q.conf import Conf


class DjangoQConfig(AppConfig):
    """Registers the models and the system checks of django_q."""

    name = "django_q"
    # The tables were made with this key type; our own new tables say theirs themselves.
    default_auto_field = "django.db.models.AutoField"

    #: Heading in the admin: `Q_CLUSTER["label"]`, looked up when it is shown.
    verbose_name = lazy(lambda: str(Conf.LABEL), str)()

    def ready(self) -> None:
        """Register the system checks."""
        checks.register(check_settings)
        checks.register(check_journal, checks.Tags.database)
        setting_changed.connect(Conf.reset, dispatch_uid="django_q.conf")
