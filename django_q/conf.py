"""`Conf`, the view of the settings that all code reads, and the logger.

Nothing is read at import. Durations are seconds (float), sizes bytes, unless a setting says so.
"""

import functools
import logging
import signal
import sys
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from django.conf import settings as django_settings

from django_q.settings import Settings, effective_settings, setting_types, wrong_values
from django_q.signposts import signposts
from django_q.texts import gettext_lazy as _

__all__ = ["Conf", "Settings", "effective_settings", "logger", "wrong_values"]

logger = logging.getLogger("django-q")

#: Django's settings that are read here, or by what is kept as long as `Conf.version` stays.
_SOURCES = ("Q_CLUSTER", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "TIME_ZONE", "USE_TZ")


class _Conf:
    """The settings by their upper-case names, read when they are used; an assigned value wins."""

    STARTING = _("Starting")
    WORKING = _("Working")
    IDLE = _("Idle")
    STOPPED = _("Stopped")
    STOPPING = _("Stopping")

    QSIZE = sys.platform != "darwin"
    SIGNAL_NAMES: ClassVar[dict[int, str]] = {number: number.name for number in signal.Signals}

    _ALIASES: ClassVar[Mapping[str, str]] = {"PREFIX": "name", "COMPRESSED": "compress"}
    _DERIVED: ClassVar[Mapping[str, Callable[["_Conf"], Any]]] = {
        "SECRET_KEY": lambda conf: django_settings.SECRET_KEY,
        "USE_TZ": lambda conf: django_settings.USE_TZ,
        "Q_STAT": lambda conf: f"django_q:{conf.PREFIX}:cluster",
        "QUEUE_LIMIT": lambda conf: conf._settings.queue_limit or conf.WORKERS**2,
        "conf": lambda conf: effective_settings(),
    }

    #: Changes whenever a setting may have: a key for what was made from the settings.
    version: int

    def __init__(self) -> None:
        self.__dict__.update(version=0, _patched={})

    @functools.cached_property
    def _settings(self) -> Settings:
        return Settings.from_django()

    @functools.cached_property
    def _given(self) -> dict[str, Any]:
        return effective_settings()

    def __getattr__(self, attribute: str) -> Any:
        """Give a setting, computed once until the next reset."""
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        value = self._unpatched(attribute)
        self.__dict__[attribute] = value
        return value

    def _unpatched(self, attribute: str) -> Any:
        if attribute in self._DERIVED:
            return self._DERIVED[attribute](self)
        key = self._ALIASES.get(attribute, attribute.lower())
        if key == attribute or key not in setting_types():
            raise AttributeError(f"Conf has no setting {attribute!r}")
        return getattr(self._settings, key)

    def __setattr__(self, attribute: str, value: Any) -> None:
        """Patch a setting for this process, as tests do; the original value ends the patch."""
        self.__delattr__(attribute)
        if self._unpatched(attribute) != value:
            self.__dict__["_patched"][attribute] = value
            self.__dict__[attribute] = value

    def __delattr__(self, attribute: str) -> None:
        self.__dict__["_patched"].pop(attribute, None)
        self.reset()

    def is_set(self, key: str) -> bool:
        """Tell whether the project set this key of `Q_CLUSTER` itself; None says nothing."""
        return self.__dict__["_patched"].get(key.upper(), self._given.get(key)) is not None

    def reset(self, **kwargs: Any) -> None:
        """Read the settings anew at the next use; what was patched stays. Also a receiver."""
        if kwargs.get("setting") not in (None, *_SOURCES):
            return
        patched, version = self.__dict__["_patched"], self.__dict__["version"] + 1
        self.__dict__.clear()
        self.__dict__.update(patched, version=version, _patched=patched)


Conf: Any = _Conf()

if not typing.TYPE_CHECKING:
    __getattr__ = signposts(__name__)
