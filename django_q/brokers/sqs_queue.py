"""One queue at Amazon SQS: found by its name or URL, made when it is missing."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from django_q.brokers import sqs_trouble
from django_q.brokers.misread import understood
from django_q.brokers.sqs_batches import BATCH_SIZE
from django_q.brokers.sqs_server import PAUSES, SqsServer
from django_q.brokers.sqs_settings import SqsSettings, is_fifo, is_url
from django_q.brokers.sqs_trouble import QueueMissing
from django_q.conf import logger
from django_q.exceptions import BrokerError, BrokerUnavailable

#: Seconds Amazon keeps a message of a queue that we make: the most there is. Amazon's own default
#: is four days, after which a package that nobody took would be lost.
RETENTION = 1_209_600


class Answers(NamedTuple):
    """What became of the entries of one request, by their places in it."""

    #: Place -> what the server says of an entry that was done.
    done: dict[int, dict[str, Any]]
    #: Place -> code and text of an entry that was refused.
    refused: dict[int, tuple[str, str]]


class SqsQueue:
    """A queue as one process sees it. Threads may share it."""

    def __init__(self, server: SqsServer, place: str, settings: SqsSettings) -> None:
        self.server = server
        #: Name or URL.
        self.place = place
        self._settings = settings
        self._url: str | None = place if is_url(place) else None
        self._limit: int | None = None

    # -- calls -------------------------------------------------------------------------------

    def call(
        self,
        operation: str,
        *,
        makes: bool = True,
        wait: int = 0,
        repeatable: bool = True,
        **parameters: Any,
    ) -> dict[str, Any]:
        """Call an operation on this queue; as `SqsServer.call`.

        A queue that is missing, or was deleted since, is made if `makes`; else QueueMissing.
        """
        had_url = self._url is not None
        parameters["QueueUrl"] = self._url = self._url or self._find(makes)
        try:
            return self.server.call(operation, parameters, wait=wait, repeatable=repeatable)
        except QueueMissing:
            self._forget()
            if is_url(self.place) or not (had_url and makes):
                raise
        parameters["QueueUrl"] = self._url = self._find(makes)
        return self.server.call(operation, parameters, wait=wait, repeatable=repeatable)

    def call_batch(
        self,
        operation: str,
        entries: Sequence[dict[str, Any]],
        *,
        makes: bool = True,
        repeatable: bool = True,
    ) -> Answers:
        """Call one of the batch operations; entries that were throttled are sent again.

        Raises BrokerUnavailable when some are left then: what was done, stays done.
        """
        answers = Answers({}, {})
        waiting = {str(place): entry | {"Id": str(place)} for place, entry in enumerate(entries)}
        for pause in (*PAUSES, None):
            reply = self.call(
                operation, makes=makes, repeatable=repeatable, Entries=list(waiting.values())
            )
            with understood(self.server.name):
                failed = list(self._take(reply, answers, waiting))
            if not waiting:
                return answers
            if pause is None or len(failed) < len(waiting):
                break
            time.sleep(pause)
        code, text = failed[0] if failed else ("no answer", "")
        error = BrokerUnavailable(
            f"{self.server.name} has not done {len(waiting)} of {len(entries)} entries of "
            f"{operation} on {self.place}: {code}: {text}"
        )
        error.taken = sorted(answers.done)
        raise error

    def _take(
        self, reply: dict[str, Any], answers: Answers, waiting: dict[str, dict[str, Any]]
    ) -> Iterator[tuple[str, str]]:
        """Move what is decided from `waiting` to `answers`; code and text of what is not."""
        for entry in reply.get("Successful", ()):
            if waiting.pop(entry["Id"], None):
                answers.done[int(entry["Id"])] = entry
        for entry in reply.get("Failed", ()):
            said = sqs_trouble.bare(entry.get("Code", "")), str(entry.get("Message", ""))
            if said[0] in sqs_trouble.THROTTLED or not entry.get("SenderFault", True):
                yield said
            elif waiting.pop(entry["Id"], None):
                answers.refused[int(entry["Id"])] = said

    # -- the queue itself --------------------------------------------------------------------

    def attributes(self, *names: str, makes: bool = False) -> dict[str, str]:
        """Ask for attributes of the queue, each time anew."""
        reply = self.call("get_queue_attributes", makes=makes, AttributeNames=list(names))
        return dict(reply.get("Attributes", {}))

    def limit(self, *, is_fresh: bool = False) -> int:
        """Give the bytes of the largest message; asked once, unless it has to be `is_fresh`."""
        if self._limit is None or is_fresh:
            name = "MaximumMessageSize"
            self._limit = int(self.attributes(name, makes=True).get(name, BATCH_SIZE))
        return self._limit

    def ping(self) -> bool:
        """Ask the server for this queue; that it is missing is an answer too."""
        if is_url(self.place):
            names = ["MaximumMessageSize"]
            asked = {"QueueUrl": self.place, "AttributeNames": names}
            return self.server.ping("get_queue_attributes", asked)
        return self.server.ping("get_queue_url", {"QueueName": self.place})

    def delete(self) -> None:
        """Delete the queue, with all that is in it."""
        self.call("delete_queue", makes=False)
        self._forget()

    def _forget(self) -> None:
        self._url = self.place if is_url(self.place) else None
        self._limit = None

    def _find(self, makes: bool) -> str:
        try:
            url = self._url_of(self.place)
        except QueueMissing as error:
            if not makes:
                raise
            if not self._settings.create:
                raise QueueMissing(
                    f"There is no queue {self.place!r} at {self.server.name}, and "
                    'Q_CLUSTER["sqs"]["create"] is False: make it, or allow to make it.'
                ) from error
            return self._make(self.place, self._attributes())
        if self._has_dead_letters and self._settings.create:
            self._set_redrive(url)
        return url

    def _url_of(self, place: str) -> str:
        if is_url(place):
            return place
        return str(self.server.call("get_queue_url", {"QueueName": place})["QueueUrl"])

    def _make(self, name: str, attributes: dict[str, str]) -> str:
        try:
            asked = {"QueueName": name, "Attributes": attributes}
            url = str(self.server.call("create_queue", asked)["QueueUrl"])
        except BrokerError as error:
            if isinstance(error, BrokerUnavailable):
                raise
            # Another process may have made it in between, with other attributes.
            try:
                return self._url_of(name)
            except QueueMissing:
                raise error from None
        logger.info("The queue %s was made at %s", name, self.server.name)
        return url

    def _attributes(self) -> dict[str, str]:
        """Give the attributes of a new queue."""
        settings = self._settings
        attributes = {
            "VisibilityTimeout": str(settings.visibility),
            "ReceiveMessageWaitTimeSeconds": str(settings.receive_message_wait_time_seconds),
            "MessageRetentionPeriod": str(RETENTION),
        }
        if is_fifo(self.place):
            attributes["FifoQueue"] = "true"
        if self._has_dead_letters:
            attributes["RedrivePolicy"] = json.dumps(self._redrive())
        return attributes | {key: _text(value) for key, value in settings.attributes.items()}

    # -- dead letters ------------------------------------------------------------------------

    @property
    def _has_dead_letters(self) -> bool:
        """Whether there is a policy to set: a cluster may serve the dead letter queue itself."""
        return self._settings.dead_letter_queue not in (None, self.place)

    def _redrive(self) -> dict[str, Any]:
        place = str(self._settings.dead_letter_queue)
        if is_fifo(place) != is_fifo(self.place):
            raise BrokerError(
                f"The dead letters of {self.place} cannot go to {place}: Amazon SQS wants both to "
                'be FIFO queues or neither. See "dead_letter_queue" in Q_CLUSTER["sqs"].'
            )
        arn = place if place.startswith("arn:") else self._arn_of(place)
        return {"deadLetterTargetArn": arn, "maxReceiveCount": self._settings.max_receive_count}

    def _arn_of(self, place: str) -> str:
        try:
            url = self._url_of(place)
        except QueueMissing:
            attributes = {"MessageRetentionPeriod": str(RETENTION)}
            if is_fifo(place):
                attributes["FifoQueue"] = "true"
            url = self._make(place, attributes)
        asked = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
        return str(self.server.call("get_queue_attributes", asked)["Attributes"]["QueueArn"])

    def _set_redrive(self, url: str) -> None:
        """Bring the policy of a queue that exists to what the settings say."""
        wanted = self._redrive()
        asked = {"QueueUrl": url, "AttributeNames": ["RedrivePolicy"]}
        reply = self.server.call("get_queue_attributes", asked)
        found = json.loads(reply.get("Attributes", {}).get("RedrivePolicy") or "{}")
        # Amazon gives back what it was given, the number perhaps as text.
        if {key: str(found.get(key)) for key in wanted} != {k: str(v) for k, v in wanted.items()}:
            attributes = {"RedrivePolicy": json.dumps(wanted)}
            self.server.call("set_queue_attributes", {"QueueUrl": url, "Attributes": attributes})
            logger.info(
                "The dead letters of %s go to %s", self.place, wanted["deadLetterTargetArn"]
            )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
