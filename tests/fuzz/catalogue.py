"""All that is fuzzed."""

from django.conf import settings as django_settings

from django_q.conf import Conf
from tests.fuzz import http_replies, packages, redis_replies, schedules, settings
from tests.fuzz.target import Target

#: Packages may be a mebibyte and ten years old, so that both limits are tried.
_Q_CLUSTER = {"max_package": 2**20, "package_max_age": 3e8}


def _configured(target: Target) -> Target:
    read = target.read

    def configured(data: bytes) -> str:
        if django_settings.Q_CLUSTER is not _Q_CLUSTER:
            django_settings.Q_CLUSTER = _Q_CLUSTER
            Conf.reset()
        return read(data)

    object.__setattr__(target, "read", configured)
    return target


TARGETS = (
    _configured(packages.PACKAGES),
    settings.SETTINGS,
    settings.URLS,
    schedules.CRON,
    schedules.ARGUMENTS,
    schedules.SEALED,
    schedules.DUE,
    redis_replies.REDIS,
    redis_replies.LIST,
    redis_replies.DISQUE,
    http_replies.SQS,
    http_replies.IRON,
)
