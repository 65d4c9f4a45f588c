"""A dead letter: why it is one, whether it comes back by itself, and whether it is of a backfill. Pure.

It has a `reason` if the describe function wrote it. One without is either of SQS, which moved the message after too
many receives (the function crashed with it), or of EventBridge, which could not deliver it and says so in attributes of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagescribe.model.events import job_of
from imagescribe.model.outcomes import Reason

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

RETRYABLE: Final = frozenset({Reason.TRANSIENT, Reason.AWS, Reason.CRASH})
"""Reasons that pass by themselves. The others stay until a person has done something."""

REDRIVE_AFTER_SECONDS: Final = (0.0, 900.0, 14_400.0)
"""How long after it became one a dead letter comes back by itself, the first, second and third time; then it stays for
a person. Ever longer, so that a single image outlasts an outage of hours, and one that always fails costs little."""

MAX_REDRIVES: Final = len(REDRIVE_AFTER_SECONDS)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on the dead-letter queue.

    Attributes
    ----------
    redrives
        How often it came back to its queue by itself before.
    has_reason
        Whether the reason stands on the message, or was inferred here.
    sent_at
        When it came to the dead-letter queue, in epoch seconds.
    """

    message_id: str
    body: str
    reason: Reason
    detail: str
    redrives: int
    has_reason: bool
    receipt_handle: str
    sent_at: float = 0.0

    @classmethod
    def of_message(cls, message: MessageTypeDef) -> DeadLetter:
        """Read a message of the dead-letter queue."""
        attributes = {
            name: attribute.get("StringValue", "") for name, attribute in message.get("MessageAttributes", {}).items()
        }
        given, redrives = attributes.get("reason", ""), attributes.get("redrives", "")
        if given in Reason:
            reason, detail = Reason(given), attributes.get("detail", "")
        elif "ERROR_CODE" in attributes:
            reason = Reason.AWS
            detail = f"EventBridge: {attributes['ERROR_CODE']} {attributes.get('ERROR_MESSAGE', '')}"
        else:
            reason, detail = Reason.CRASH, "the function ended again and again while it had this message"
        return cls(
            message_id=message["MessageId"],
            body=message["Body"],
            reason=reason,
            detail=detail,
            redrives=int(redrives) if redrives.isdecimal() else 0,  # attributes are whoever's who sent the message
            has_reason=given in Reason,
            receipt_handle=message["ReceiptHandle"],
            sent_at=int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000,
        )

    @property
    def is_of_backfill(self) -> bool:
        """Whether it goes back to the backfill queue, behind what is uploaded today."""
        return bool(job_of(self.body))

    def is_retryable(self, now: float) -> bool:
        """Whether it comes back by itself now (epoch seconds)."""
        if self.reason not in RETRYABLE or self.redrives >= MAX_REDRIVES:
            return False
        return self.sent_at + REDRIVE_AFTER_SECONDS[self.redrives] <= now
