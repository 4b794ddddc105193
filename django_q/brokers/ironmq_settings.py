"""What `Q_CLUSTER["iron_mq"]`, the environment and Iron.io's files say, checked.

The same places as those of Iron.io's own clients; of a key that stands in several, the first wins:

1. `Q_CLUSTER["iron_mq"]`
2. the file that its key `config_file` names
3. `iron.json` in the working directory
4. the environment: `IRON_MQ_TOKEN`
5. the environment: `IRON_TOKEN`
6. `.iron.json` in the home directory

In a file, what stands under `"iron_mq"` wins over what stands beside it.
"""

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from django_q.conf import Conf
from django_q.exceptions import ConfigurationError

#: Seconds a reservation lasts at least, and at most; rules of IronMQ v3, as are the next four.
SHORTEST_LEASE, LONGEST_LEASE = 30, 86_400
#: Seconds one call may wait for messages at most.
LONGEST_WAIT = 30
#: Seconds a message may be held back at most.
LONGEST_DELAY = 604_800
#: Seconds a queue keeps a message at most.
LONGEST_LIFE = 2_592_000
#: Bytes of a request in the smaller plans, and in the larger.
SMALL_PLAN, LARGE_PLAN = 65_536, 262_144

_PORTS = {"https": 443, "http": 80}
_SETTING = 'Q_CLUSTER["iron_mq"]'


@dataclasses.dataclass(frozen=True)
class IronSettings:
    """The keys of `Q_CLUSTER["iron_mq"]`, from wherever they came."""

    project_id: str
    token: str = dataclasses.field(repr=False)
    host: str = "mq-aws-us-east-1-1.iron.io"
    protocol: str = "https"
    #: 0: by protocol.
    port: int = 0
    api_version: int = 3
    #: Seconds an idle worker's call waits on the server for messages; a stop waits for its end,
    #: so it is below the default `shutdown_timeout`.
    wait: int = 20
    #: Bytes of the largest request, which is the largest message: the plan says.
    max_message_size: int = LARGE_PLAN
    #: Seconds a queue that we make keeps a message. Iron.io's own default is a week, after which a
    #: package that nobody took would be lost.
    message_expiration: int = LONGEST_LIFE
    #: Key -> where it was found.
    places: Mapping[str, str] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    def read(cls) -> "IronSettings":
        """Build from all places. Raises ConfigurationError for a value that is wrong or missing."""
        values: dict[str, Any] = {}
        places: dict[str, str] = {}
        for place, found in _sources(dict(Conf.IRON_MQ or {})):
            for key in found.keys() & _KEYS:
                if found[key] is not None and key not in values:
                    values[key], places[key] = found[key], place
        for key in ("project_id", "token"):
            if not values.get(key):
                raise ConfigurationError(
                    f'IronMQ needs "{key}": in {_SETTING}, in the environment as '
                    f"IRON_MQ_{key.upper()} or IRON_{key.upper()}, in iron.json or in ~/.iron.json."
                )
        return cls(**_Checked(values, places).all(), places=places)

    def named(self, *keys: str) -> str:
        """Name keys for a message, with the place of those that are not in the settings."""
        *others, last = (self._name(key) for key in keys)
        return f"{', '.join(others)}{' and ' if others else ''}{last} of {_SETTING}"

    def _name(self, key: str) -> str:
        if key not in self.places:
            return f'"{key}" (now the default)'
        place = self.places[key]
        return f'"{key}"' if place == _SETTING else f'"{key}" (now from {place})'

    @property
    def base(self) -> str:
        """The path that all requests begin with."""
        return f"/{self.api_version}/projects/{quote(self.project_id, safe='')}/"

    @property
    def address(self) -> str:
        """Host and port, as messages name the server."""
        return f"{self.host}:{self.port or _PORTS[self.protocol]}"

    @property
    def lease(self) -> int:
        """Seconds a lease lasts: `retry`, as far as IronMQ goes."""
        return max(SHORTEST_LEASE, min(math.ceil(float(Conf.RETRY)), LONGEST_LEASE))


_KEYS = frozenset(field.name for field in dataclasses.fields(IronSettings)) - {"places"}
#: Keys that are whole numbers, with their range.
_NUMBERS = {
    "port": (1, 65_535),
    "api_version": (3, 3),
    "wait": (1, LONGEST_WAIT),
    "max_message_size": (1024, LARGE_PLAN),
    "message_expiration": (SHORTEST_LEASE, LONGEST_LIFE),
}


@dataclasses.dataclass(frozen=True)
class _Checked:
    """Values as they were found, and the checks on them."""

    values: Mapping[str, Any]
    places: Mapping[str, str]

    def all(self) -> dict[str, Any]:
        """Give all values in their types."""
        if Conf.RETRY > LONGEST_LEASE:
            raise ConfigurationError(
                f'Q_CLUSTER["retry"] is {Conf.RETRY} s: IronMQ lends a message for '
                f"{LONGEST_LEASE} s at most. Leases are renewed, so a shorter retry is enough."
            )
        return {
            key: self._number(key) if key in _NUMBERS else self._text(key) for key in self.values
        }

    def _number(self, key: str) -> int:
        value, (low, high) = self.values[key], _NUMBERS[key]
        # In the environment everything is text.
        number = int(value) if str(value).isdecimal() else None
        if number is None or not low <= number <= high:
            wanted = f"{low}: this broker speaks no other"
            if low != high:
                wanted = f"a whole number from {low} to {high}"
            raise self._wrong(key, f"is {value!r}: it must be {wanted}")
        return number

    def _text(self, key: str) -> str:
        value = self.values[key]
        # A newline at the end is what a file or a shell may leave there.
        text = value.strip() if isinstance(value, str) else ""
        if not (text.isascii() and text.isprintable()) or " " in text or not text:
            shown = "not as it" if key == "token" else f"{value!r}: it"
            raise self._wrong(key, f"is {shown} must be: plain characters without spaces")
        if key == "protocol" and text not in _PORTS:
            raise self._wrong(key, f"is {value!r}: it must be https or http")
        if key == "host" and set(text) & set("/@?#"):
            raise self._wrong(key, f"is {value!r}: it must be the bare name, without https://")
        return text

    def _wrong(self, key: str, problem: str) -> ConfigurationError:
        place = self.places[key]
        name = f'{_SETTING}["{key}"]' if place == _SETTING else f'"{key}" for IronMQ, from {place},'
        return ConfigurationError(f"{name} {problem}.")


# The places.


def _sources(given: dict[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Give the places from the first to the last, each with the keys that it has."""
    config_file = given.pop("config_file", None)
    if unknown := given.keys() - _KEYS:
        key = sorted(unknown)[0]
        raise ConfigurationError(
            f'{_SETTING}["{key}"] is not known; it may have {", ".join(sorted(_KEYS))} '
            "and config_file."
        )
    yield _SETTING, given
    if config_file is not None:
        yield str(config_file), _file(str(config_file), is_needed=True)
    yield "iron.json", _file("iron.json")
    for prefix in ("IRON_MQ_", "IRON_"):
        for key in _KEYS:
            variable = prefix + key.upper()
            yield variable, {key: os.environ.get(variable)}
    yield "~/.iron.json", _file(os.path.expanduser("~/.iron.json"))


def _file(path: str, *, is_needed: bool = False) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except OSError as error:
        # The home of another user, a directory that is gone: Iron.io's clients pass over it too.
        if not is_needed:
            return {}
        raise ConfigurationError(
            f'{_SETTING}["config_file"] is {path!r}, which cannot be read: {error.strerror}.'
        ) from error
    except ValueError:
        # Not chained: the error carries the text of the file, and so the token.
        raise ConfigurationError(
            f"The file {path!r}, where settings of IronMQ may be, is not JSON."
        ) from None
    section = content.get("iron_mq", {}) if isinstance(content, dict) else None
    if not isinstance(section, dict):
        raise ConfigurationError(
            f"The file {path!r}, where settings of IronMQ may be, is no JSON object of keys."
        )
    return {**content, **section}
