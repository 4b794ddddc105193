"""What to make of errors of boto3 and of Amazon SQS: which pass by, and our words for them."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from botocore import exceptions as boto

from django_q.exceptions import (
    BrokerError,
    BrokerUnavailable,
    ConfigurationError,
    PayloadTooLarge,
)

#: Codes of "not now": nothing was done, and a little later it may be.
THROTTLED = frozenset(
    (
        *("RequestThrottled", "Throttling", "ThrottlingException", "ThrottledException"),
        *("TooManyRequestsException", "RequestLimitExceeded", "SlowDown", "KmsThrottled"),
        *("ServiceUnavailable", "ServiceUnavailableException"),
    )
)
#: Codes of a receipt whose lease was lost, or whose message is gone.
LOST = frozenset(
    ("ReceiptHandleIsInvalid", "MessageNotInflight", "InvalidParameterValue", "InvalidIdFormat")
)
_MISSING = frozenset(("NonExistentQueue", "QueueDoesNotExist"))
_TOO_LARGE = frozenset(("BatchRequestTooLong", "InvalidMessageContentsTooLong"))
_NO_ENTRY = frozenset(
    (
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId"),
        *("InvalidSecurity", "AuthFailure", "SignatureDoesNotMatch", "InvalidSignatureException"),
        *(
            "IncompleteSignature",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
        ),
        *("ExpiredToken", "ExpiredTokenException", "RequestExpired", "RequestTimeTooSkewed"),
        *("InvalidToken", "NotAuthorized", "OptInRequired"),
    )
)
_WORDS: Mapping[str, str] = {
    "AccessDenied": "does not permit {operation}; the policy of this user or role needs it",
    "OverLimit": "lends no more: too many messages are leased and not acknowledged",
    "QueueDeletedRecently": "lets a queue be made again 60 s after it was deleted",
}
_KEYS = (
    ' Check the credentials: "aws_access_key_id" and "aws_secret_access_key", or "profile_name", '
    'in Q_CLUSTER["sqs"]; without them boto3 looks into the environment, ~/.aws and the machine\'s '
    "role."
)
#: Where to look when nobody answers.
PLACES = 'See "aws_region" and "endpoint_url" in Q_CLUSTER["sqs"].'
_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.TokenRetrievalError,
    boto.NoAuthTokenError,
    boto.SSOError,
)
_WRONG_SETTINGS = (boto.ProfileNotFound, boto.NoRegionError, boto.InvalidRegionError)
#: What making a session or a client raises beside errors of boto3: "Invalid endpoint: foo:1",
#: "Got unexpected keyword argument 'timeout'".
NOT_MADE = (boto.BotoCoreError, ValueError, TypeError)
_AWAY = (boto.HTTPClientError, boto.ConnectionError)
#: Characters of an answer that an error shows.
_SHOWN = 300


class QueueMissing(BrokerError):
    """There is no queue of that name or URL."""


class NotJson(Exception):
    """The answer is none of SQS: not JSON. The text is its beginning."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(body[:80].decode(errors="replace"))
        self.status = status


#: What a call may raise.
TROUBLE = (boto.BotoCoreError, boto.ClientError, NotJson)


@dataclasses.dataclass(frozen=True)
class Call:
    """What was asked, and where."""

    operation: str
    endpoint: str
    #: What no text may show.
    secrets: Sequence[str]

    def in_our_words(self, error: Exception) -> BrokerError | ConfigurationError:
        """Give the error to raise for an error of boto3."""
        if isinstance(error, boto.ClientError):
            return self._refused(code_of(error.response), error.response)
        if isinstance(error, NotJson):
            kind = BrokerUnavailable if error.status >= 500 else BrokerError
            return kind(
                self._says(f"answers {error.status} without JSON ({str(error)!r})")
                + ' Is it SQS? See "endpoint_url" in Q_CLUSTER["sqs"], and proxies.'
            )
        if isinstance(error, _NO_CREDENTIALS):
            return BrokerError(self._says(f"cannot be asked: {error}.") + _KEYS)
        if isinstance(error, _AWAY):
            return BrokerUnavailable(f"{self._says(f'cannot be reached: {error}.')} {PLACES}")
        if isinstance(error, _WRONG_SETTINGS):
            return wrong_settings(error)
        return BrokerError(self._says(f"cannot be asked: {error}."))

    def _refused(self, code: str, response: Mapping[str, Any]) -> BrokerError:
        message = str(response.get("Error", {}).get("Message", ""))[:_SHOWN]
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        words = _WORDS.get(code.removesuffix("Exception"), "refuses {operation}")
        text = self._says(f"{words.format(operation=self.operation)}: {code}: {message}")
        if code in _MISSING:
            return QueueMissing(text)
        if code in _NO_ENTRY:
            return BrokerError(text + _KEYS)
        if is_size(code, message):
            return PayloadTooLarge(text)
        if code in THROTTLED or status >= 500 or code == "QueueDeletedRecently":
            return BrokerUnavailable(text)
        return BrokerError(text)

    def _says(self, words: str) -> str:
        text = f"Amazon SQS at {self.endpoint} {words}"
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def wrong_settings(error: Exception) -> ConfigurationError:
    """Give our words for what boto3 says when it is made with these settings."""
    if isinstance(error, _WRONG_SETTINGS):
        return ConfigurationError(
            f'Q_CLUSTER["sqs"] is not enough for boto3: {error} Set "aws_region" (or '
            'AWS_DEFAULT_REGION) and, if not by the environment, "profile_name" or keys.'
        )
    return ConfigurationError(f'Q_CLUSTER["sqs"] is not understood by boto3: {error}.')


def passes_by(error: Exception, repeatable: bool) -> bool:
    """Tell whether the same call may do better soon, and does no harm if it was done already."""
    if isinstance(error, boto.ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        is_away = status >= 500 and (repeatable or status == 503)
        return is_away or code_of(error.response) in THROTTLED
    if isinstance(error, NotJson):
        return error.status >= 500 and (repeatable or error.status == 503)
    # A connection that was idle for too long. Not after a timeout: a second wait would not help.
    return repeatable and isinstance(error, boto.ConnectionClosedError)


def is_size(code: str, message: str) -> bool:
    """Tell whether a refusal is about the size of a message or a batch."""
    return code in _TOO_LARGE or "must be shorter than" in message


def code_of(response: Mapping[str, Any]) -> str:
    """Give the bare code: `AWS.SimpleQueueService.NonExistentQueue` is `NonExistentQueue`."""
    code = str(response.get("Error", {}).get("Code", ""))
    return bare(code) or "no code"


def bare(code: str) -> str:
    """Take namespaces off a code, those of the older protocol and those of the newer."""
    return code.rpartition("#")[2].rpartition(".")[2]
