"""The upload queue and its dead-letter queue: what a message carries, and what is done with it in the end."""

from __future__ import annotations

import re
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

RECEIVES_BEFORE_RENEWAL: Final = 10
"""Half of the template's maxReceiveCount. A message that waits its turn more often is sent afresh, which starts its
count (and its retention) anew, so that waiting never makes a dead letter; a crash never gets as far as that."""


MAX_ATTRIBUTE_LENGTH: Final = 1000
_OWN_ATTRIBUTES: Final = frozenset({"renewals", "faults", "redrives"})

# By what is refused, not by what is taken: Python needs 4 ms at each start to compile the other.
_CONTROLS = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
"""What SQS refuses in a message: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""


class NotHiddenError(ImageScribeError):
    """The queue did not hide some messages."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One delivery of a message from the upload queue.

    Attributes
    ----------
    receives
        How often it was delivered, this time included, since it was last sent.
    attributes
        Those of its message attributes that we wrote, all of them counts: how often it was sent afresh for having
        waited long (`renewals`) or for something that failed (`faults`), and brought back when dead (`redrives`).
    """

    message_id: str
    receipt_handle: str
    body: str
    receives: int
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read a record of the event that SQS invokes a function with."""
        return cls(
            message_id=record["messageId"],
            receipt_handle=record["receiptHandle"],
            body=record["body"],
            receives=int(record.get("attributes", {}).get("ApproximateReceiveCount", 1)),
            attributes={
                name: attribute["stringValue"]
                for name, attribute in record.get("messageAttributes", {}).items()
                if name in _OWN_ATTRIBUTES and attribute.get("stringValue", "").isdecimal()
            },
        )

    @property
    def is_first(self) -> bool:
        """Whether nobody can have begun with this message before."""
        return self.receives == 1 and not self.attributes

    @property
    def faults(self) -> int:
        """How often something failed with it before. Its receives don't tell: most of them are waits for its turn."""
        return int(self.attributes.get("faults", 0))

    def is_renewed_for(self, outcome: Deferred) -> bool:
        """Whether it is sent afresh instead of hidden: to count a fault, or since it was delivered often."""
        return outcome.is_fault or self.receives >= RECEIVES_BEFORE_RENEWAL


class UploadQueue:
    """The upload queue and the dead-letter queue behind it."""

    def __init__(
        self, client: SQSClient, url: str, dead_letter_url: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._url = url
        self._dead_letter_url = dead_letter_url
        self._clock = clock

    def settle(self, delivery: Delivery, outcome: Outcome) -> bool:
        """Do with a message what its outcome asks, except for hiding it. True where the poller may delete it."""
        match outcome:
            case Done():
                return True
            case Dead(reason, detail):
                attributes = {**delivery.attributes, "reason": reason, "detail": detail}
                self._send(self._dead_letter_url, delivery.body, attributes)
                return True
            case Deferred(until) if delivery.is_renewed_for(outcome):
                counted = "faults" if outcome.is_fault else "renewals"
                count = int(delivery.attributes.get(counted, 0)) + 1
                attributes = {**delivery.attributes, counted: str(count)}
                self._send(self._url, delivery.body, attributes, min(self._seconds_to(until), MAX_DELAY_SECONDS))
                return True
            case Deferred():
                return False

    def hide(self, deferred: Sequence[tuple[Delivery, Deferred]]) -> None:
        """Hide messages until their times, those of one invocation with one request.

        Raises
        ------
        NotHiddenError
            The queue refused some of them: they come back when their visibility time-out is over.
        """
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
            raise NotHiddenError(f"the queue did not hide {len(failed)} of {len(deferred)} messages ({reasons})")

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


def message_attributes(attributes: Mapping[str, str]) -> dict[str, MessageAttributeValueTypeDef]:
    """Turn text into message attributes, without what SQS refuses in them (an empty one, too)."""
    return {
        name: {"DataType": "String", "StringValue": _CONTROLS.sub(" ", value)[:MAX_ATTRIBUTE_LENGTH]}
        for name, value in attributes.items()
        if value
    }
