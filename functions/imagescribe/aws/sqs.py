"""The upload queue and its dead-letter queue: what a message carries, and what is done with it in the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Self

from imagescribe.errors import ImageScribeError
from imagescribe.model.outcomes import Dead, Deferred, Done, Outcome

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef

MAX_VISIBILITY_SECONDS: Final = 43_000  # SQS allows 12 hours, counted from the receive
MAX_DELAY_SECONDS: Final = 900  # of a message that is sent

RECEIVES_BEFORE_REQUEUE: Final = 10
"""Half of the template's maxReceiveCount. A message that was deferred more often is requeued, which starts its receive
count (and its retention) anew, so that waiting never makes a dead letter; a crash never gets as far as that."""

MAX_ATTRIBUTE_LENGTH: Final = 1000
_OWN_ATTRIBUTES: Final = frozenset({"requeues", "failures", "redrives"})


class NotDeferredError(ImageScribeError):
    """The queue did not change the visibility of some messages."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message from the upload queue.

    Attributes
    ----------
    receive_count
        How often it was delivered, this time included, since it was last sent.
    attributes
        Those of its message attributes that we wrote, all of them counts: how often it was requeued for having waited
        long (`requeues`) or for a failure of our infrastructure (`failures`), and brought back when dead (`redrives`).
    """

    message_id: str
    receipt_handle: str
    body: str
    receive_count: int
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read a record of the event that SQS invokes a function with."""
        return cls(
            message_id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            body=record["body"],
            receive_count=int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)),
            attributes={
                name: attribute["stringValue"]
                for name, attribute in record.get("messageAttributes", {}).items()
                if name in _OWN_ATTRIBUTES and attribute.get("stringValue", "").isdecimal()
            },
        )

    @property
    def is_first(self) -> bool:
        """Whether nobody can have worked at this message before."""
        return self.receive_count == 1 and not self.attributes

    @property
    def failures(self) -> int:
        """How often our infrastructure failed with it before. Its receive count doesn't tell: most are waits."""
        return int(self.attributes.get("failures", 0))

    def is_requeued_for(self, outcome: Deferred) -> bool:
        """Whether it is sent once more instead of staying invisible: to count a failure, or since it came often."""
        return outcome.is_failure or self.receive_count >= RECEIVES_BEFORE_REQUEUE


class UploadQueue:
    """The upload queue and the dead-letter queue behind it."""

    def __init__(
        self, client: SQSClient, url: str, dead_letter_url: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._url = url
        self._dead_letter_url = dead_letter_url
        self._clock = clock

    def at(self, url: str) -> UploadQueue:
        """Return another queue before the same dead-letter queue."""
        return UploadQueue(self._client, url, self._dead_letter_url, self._clock)

    def acknowledge(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Do with a message what its outcome asks, but for its visibility. True where the poller may delete it."""
        match outcome:
            case Done():
                return True
            case Dead(reason, detail):
                attributes = {**delivery.attributes, "reason": reason, "detail": detail}
                self._send(self._dead_letter_url, delivery.body, attributes)
                return True
            case Deferred(until) if delivery.is_requeued_for(outcome):
                counted = "failures" if outcome.is_failure else "requeues"
                count = int(delivery.attributes.get(counted, 0)) + 1
                attributes = {**delivery.attributes, counted: str(count)}
                self._send(self._url, delivery.body, attributes, min(self._seconds_to(until), MAX_DELAY_SECONDS))
                return True
            case Deferred():
                return False

    def defer(self, deferred: Sequence[tuple[Delivery, Deferred]]) -> None:
        """Set the visibility time-out of at most ten messages to their times, but of those that are requeued.

        Raises
        ------
        NotDeferredError
            The queue refused some of them: they come back when their visibility time-out is over.
        """
        deferred = [(delivery, outcome) for delivery, outcome in deferred if not delivery.is_requeued_for(outcome)]
        if not deferred:
            return
        answer = self._client.change_message_visibility_batch(
            QueueUrl=self._url,
            Entries=[
                {
                    "Id": str(number),
                    "ReceiptHandle": delivery.receipt_handle,
                    "VisibilityTimeout": min(self._seconds_to(outcome.until), MAX_VISIBILITY_SECONDS),
                }
                for number, (delivery, outcome) in enumerate(deferred)
            ],
        )
        if failed := answer.get("Failed"):
            reasons = ", ".join(f"{deferred[int(each['Id'])][0].message_id}: {each['Code']}" for each in failed)
            raise NotDeferredError(f"the queue did not defer {len(failed)} of {len(deferred)} messages ({reasons})")

    def send(self, body: str) -> None:
        """Put a message on the upload queue."""
        self._send(self._url, body, {})

    def _seconds_to(self, until: float) -> int:
        return max(0, ceil(until - self._clock()))

    def _send(self, url: str, body: str, attributes: Mapping[str, str], delay_seconds: int = 0) -> None:
        self._client.send_message(
            QueueUrl=url,
            MessageBody=body,
            DelaySeconds=delay_seconds,
            MessageAttributes=message_attributes(attributes),
        )


def depth(client: SQSClient, url: str) -> int:
    """Return how many messages a queue holds, those that are invisible included, as SQS estimates it."""
    answer = client.get_queue_attributes(
        QueueUrl=url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )
    return sum(map(int, answer["Attributes"].values()))


def message_attributes(attributes: Mapping[str, str]) -> dict[str, MessageAttributeValueTypeDef]:
    """Turn text into message attributes, without what SQS refuses in them (an empty one, too)."""
    return {
        name: {"DataType": "String", "StringValue": "".join(map(_legal, value[:MAX_ATTRIBUTE_LENGTH]))}
        for name, value in attributes.items()
        if value
    }


def _legal(character: str) -> str:
    # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    is_legal = character in "\t\n\r" or "\x20" <= character <= "\ud7ff" or "\ue000" <= character <= "\ufffd"
    return character if is_legal or character >= "\U00010000" else " "
