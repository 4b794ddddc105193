"""The settings as `qinfo --config` shows them: in force, with everything secret masked."""

import dataclasses
from typing import Any

from django_q.conf import Settings
from django_q.masks import masked


def shown_settings() -> dict[str, Any]:
    """Give every setting by its key in `Q_CLUSTER` with the value in force, masked."""
    settings = Settings.from_django()
    return {
        field.name: masked(getattr(settings, field.name), field.name)
        for field in dataclasses.fields(settings)
    }
