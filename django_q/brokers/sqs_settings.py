"""What `Q_CLUSTER["sqs"]` says, checked: for boto3, about the queue, and how to wait."""

import dataclasses
import inspect
import math
import re
from collections.abc import Mapping
from typing import Any

from boto3.session import Session

from django_q.conf import Conf
from django_q.exceptions import ConfigurationError

#: Seconds one call may wait for messages at most; Amazon's limit.
LONGEST_WAIT = 20
#: Seconds a message may be hidden at most; Amazon's limit.
LONGEST_LEASE = 43_200
#: Receptions after which a message may be called dead at most; Amazon's limit.
MOST_RECEPTIONS = 1000

#: Amazon's rule for the name of a queue.
_NAME = re.compile(r"[\w-]{1,80}|[\w-]{1,75}\.fifo", re.ASCII)
_REGION_IN_URL = re.compile(r"https?://sqs\.([a-z0-9-]+)\.amazonaws\.")
_TYPES: Mapping[str, tuple[tuple[type, ...], str]] = {
    "aws_region": ((str, type(None)), "a string"),
    "endpoint_url": ((str, type(None)), "a URL"),
    "verify": ((bool, str, type(None)), "True, False or the path of a file"),
    "config": ((Mapping,), "a dict: keywords of botocore.config.Config"),
    "create": ((bool,), "True or False"),
    "queues": ((Mapping,), "a dict from a cluster's queue to a name or URL at Amazon"),
    "message_group_id": ((str, type(None)), "a string or None"),
    "attributes": ((Mapping,), "a dict: attributes of the queue, as Amazon names them"),
    "dead_letter_queue": ((str, type(None)), "a name, a URL or an ARN"),
}


@dataclasses.dataclass(frozen=True)
class SqsSettings:
    """The keys of `Q_CLUSTER["sqs"]`; what is not named here goes to boto3's session."""

    #: Region, as `region_name`, which boto3 calls it.
    aws_region: str | None = None
    #: Where SQS is; None: Amazon's address of the region.
    endpoint_url: str | None = None
    #: Certificates to trust, as boto3 takes it.
    verify: bool | str | None = None
    #: Keywords of `botocore.config.Config`, over our own: proxies, timeouts.
    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Seconds a call may wait on the server for messages; 0: short polls.
    receive_message_wait_time_seconds: int = LONGEST_WAIT
    #: Queues that are missing are made, and get the redrive policy that is set here.
    create: bool = True
    #: Name or URL at Amazon by the name of a cluster's queue; without one, the names are equal.
    queues: Mapping[str, str] = dataclasses.field(default_factory=dict)
    #: Group of all messages of a FIFO queue; None: each has a group of its own.
    message_group_id: str | None = "django-q"
    #: Attributes for a queue that is made, over our own.
    attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    #: Where messages go that were received `max_receive_count` times.
    dead_letter_queue: str | None = None
    #: Receptions after which a message goes to the dead letter queue.
    max_receive_count: int = MOST_RECEPTIONS
    #: Keywords for `boto3.session.Session`: keys, profile. May hold secrets.
    session: Mapping[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    @classmethod
    def read(cls) -> "SqsSettings":
        """Build from `Conf`, which stays as it is. Raises ConfigurationError for a wrong value."""
        raw = dict(Conf.SQS or {})
        own = {field.name for field in dataclasses.fields(cls)} - {"session"}
        session = {key: value for key, value in raw.items() if key not in own}
        if unknown := session.keys() - inspect.signature(Session).parameters.keys():
            raise _wrong(sorted(unknown)[0], "is not known, neither here nor to boto3's Session")
        value = cls(**{key: raw[key] for key in raw.keys() & own}, session=session)
        value._check()
        return value

    def _check(self) -> None:
        for key, (types, words) in _TYPES.items():
            if not isinstance(value := getattr(self, key), types):
                raise _wrong(key, f"is {value!r}: it must be {words}")
        self._check_number("receive_message_wait_time_seconds", 0, LONGEST_WAIT)
        self._check_number("max_receive_count", 1, MOST_RECEPTIONS)
        if self.endpoint_url and "@" in self.endpoint_url:
            # Not shown: errors name the endpoint, so it must not have a secret either.
            raise _wrong("endpoint_url", "has a login, which SQS does not take: give keys")
        if Conf.RETRY > LONGEST_LEASE:
            raise ConfigurationError(
                f'Q_CLUSTER["retry"] is {Conf.RETRY} s: Amazon SQS hides a message for '
                f"{LONGEST_LEASE} s at most. Leases are renewed, so a shorter retry is enough."
            )

    def _check_number(self, key: str, low: int, high: int) -> None:
        value = getattr(self, key)
        if type(value) is not int or not low <= value <= high:
            raise _wrong(key, f"is {value!r}: it must be a whole number from {low} to {high}")

    @property
    def session_keywords(self) -> dict[str, Any]:
        """What boto3's session is made with."""
        region = {"region_name": self.aws_region} if self.aws_region else {}
        return {**self.session, **region}

    @property
    def secrets(self) -> list[str]:
        """What no message may show."""
        keys = ("aws_secret_access_key", "aws_session_token", "aws_access_key_id")
        return [str(self.session[key]) for key in keys if self.session.get(key)]

    @property
    def visibility(self) -> int:
        """Seconds a lease lasts; Amazon counts whole ones, and 0 would hide nothing."""
        return max(1, math.ceil(float(Conf.RETRY)))

    def place_of(self, list_key: str) -> str:
        """Give name or URL of the queue at Amazon."""
        place = str(self.queues.get(list_key, list_key))
        if not is_url(place) and not _NAME.fullmatch(place):
            raise ConfigurationError(
                f"Amazon SQS takes no queue with the name {place!r}: 80 letters, digits, - and _, "
                'and .fifo at the end. Map it in Q_CLUSTER["sqs"]: '
                f'"queues": {{{list_key!r}: "a-name"}}, or the URL of a queue.'
            )
        return place


def is_url(place: str) -> bool:
    """Tell a queue's URL from its name."""
    return place.startswith(("http://", "https://"))


def is_fifo(place: str) -> bool:
    """Tell whether a queue, by name, URL or ARN, is a FIFO queue."""
    return place.endswith(".fifo")


def region_of(place: str) -> str | None:
    """Give the region that a queue's URL names, if it does."""
    found = _REGION_IN_URL.match(place)
    return found[1] if found else None


def _wrong(key: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f'Q_CLUSTER["sqs"]["{key}"] {problem}.')
