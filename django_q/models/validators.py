"""What the columns of a schedule accept."""

import keyword

from django.core.exceptions import ValidationError
from django.utils import timezone

from django_q.recurrence import advance_cron
from django_q.texts import gettext_lazy as _


def validate_cron(value: str) -> None:
    """Accept a cron expression that comes due some day; raise ValidationError for any other."""
    try:
        advance_cron(value, timezone.now())
    except ValueError as error:
        raise ValidationError(str(error)) from error


def validate_kwarg(value: str) -> None:
    """Accept what can be the name of an argument; raise ValidationError for any other text."""
    if not value.isidentifier() or keyword.iskeyword(value):
        raise ValidationError(
            _("%(value)s cannot be the name of an argument."), params={"value": value}
        )
