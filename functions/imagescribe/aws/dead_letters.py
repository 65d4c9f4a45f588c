"""The dead-letter queue: which letters come back to the upload queue, and which stay for a person.

A letter has a `reason` if the describe function wrote it. One without is either of SQS, which moved the message after
too many receives (the function crashed with it), or of EventBridge, which could not deliver it and says so in
attributes of its own. A letter that stays is given the reason it lacks.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagescribe.aws.sqs import message_attributes
from imagescribe.model.outcomes import Reason

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

HEALING: Final = frozenset({Reason.TRANSIENT, Reason.AWS, Reason.CRASH})
"""Reasons that pass by themselves. The others stay until a person has done something."""

MOST_REDRIVES: Final = 3
"""How often a letter comes back by itself, before it too stays for a person."""

LOOK_SECONDS: Final = 60
"""How long letters are hidden while they are looked through; those that stay are shown again at once."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on the dead-letter queue.

    Attributes
    ----------
    redrives
        How often it came back to the upload queue by itself before.
    has_reason
        Whether the reason stands on the message, or was inferred here.
    """

    body: str
    reason: Reason
    detail: str
    redrives: int
    has_reason: bool
    receipt_handle: str

    @classmethod
    def of_message(cls, message: MessageTypeDef) -> DeadLetter:
        """Read a message of the dead-letter queue."""
        attributes = {
            name: attribute.get("StringValue", "") for name, attribute in message.get("MessageAttributes", {}).items()
        }
        given = attributes.get("reason", "")
        if given in Reason:
            reason, detail = Reason(given), attributes.get("detail", "")
        elif "ERROR_CODE" in attributes:
            reason = Reason.AWS
            detail = f"EventBridge: {attributes['ERROR_CODE']} {attributes.get('ERROR_MESSAGE', '')}"
        else:
            reason, detail = Reason.CRASH, "the function ended again and again while it had this message"
        return cls(
            body=message["Body"],
            reason=reason,
            detail=detail,
            redrives=int(attributes.get("redrives", "0")),
            has_reason=given in Reason,
            receipt_handle=message["ReceiptHandle"],
        )

    @property
    def heals(self) -> bool:
        """Whether it comes back by itself."""
        return self.reason in HEALING and self.redrives < MOST_REDRIVES


class DeadLetters:
    """The dead-letter queue of an upload queue."""

    def __init__(self, client: SQSClient, url: str, upload_queue_url: str) -> None:
        self._client = client
        self._url = url
        self._upload_queue_url = upload_queue_url

    def redrive(
        self,
        comes_back: Callable[[DeadLetter], bool],
        most: int,
        *,
        count_redrives: bool = True,
        is_probe: bool = False,
    ) -> Counter[Reason]:
        """Send letters back to the upload queue, and show the others again.

        Parameters
        ----------
        comes_back
            Says it of each letter.
        most
            How many letters are sent back at the most.
        count_redrives
            False starts their count anew, for letters that a person sends back.
        is_probe
            True leaves their count as it is.

        Returns
        -------
        Counter
            How many were sent back, by reason.
        """

        def send_back(letter: DeadLetter) -> None:
            redrives = letter.redrives + (0 if is_probe else 1) if count_redrives else 0
            self._move(letter, self._upload_queue_url, {"redrives": str(redrives)})

        return self._sort(comes_back, send_back, most)

    def discard(self, is_settled: Callable[[DeadLetter], bool], most: int) -> Counter[Reason]:
        """Delete letters that have become pointless, and show the others again."""
        return self._sort(is_settled, self._delete, most)

    def depth(self) -> int:
        """Return how many letters are shown, as SQS estimates it."""
        attributes = self._client.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def count(self, most: int) -> Counter[Reason]:
        """Count letters by reason, looking at no more than so many of them."""
        return self._sort(lambda _letter: True, self._show, most)

    def _sort(
        self, takes: Callable[[DeadLetter], bool], act: Callable[[DeadLetter], None], most: int
    ) -> Counter[Reason]:
        """Act on the letters that a test takes, until there were so many, and show the others again."""
        taken: Counter[Reason] = Counter()
        staying: list[DeadLetter] = []
        acting: list[DeadLetter] = []
        for letters in self._receive():
            for letter in letters:
                (acting if len(acting) < most and takes(letter) else staying).append(letter)
            if len(acting) >= most:
                break
        for letter in acting:
            act(letter)
            taken[letter.reason] += 1
        for letter in staying:
            self._show(letter)
        return taken

    def _receive(self) -> Iterator[list[DeadLetter]]:
        """Go through the letters ten at a time, hiding each, until no more are shown or the time is up."""
        # Without an end, a queue that takes longer to look through would show its first letters again, for ever.
        ends_at = time.monotonic() + LOOK_SECONDS / 3
        while time.monotonic() < ends_at:
            messages = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=10,
                VisibilityTimeout=LOOK_SECONDS,
                WaitTimeSeconds=1,  # a short poll asks only some of SQS's servers, and can miss what is there
                MessageAttributeNames=["All"],
            ).get("Messages")
            if not messages:
                return
            yield [DeadLetter.of_message(message) for message in messages]

    def _show(self, letter: DeadLetter) -> None:
        if letter.has_reason:
            self._client.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=letter.receipt_handle, VisibilityTimeout=0
            )
        else:
            attributes = {"reason": letter.reason, "detail": letter.detail, "redrives": str(letter.redrives)}
            self._move(letter, self._url, attributes)

    def _move(self, letter: DeadLetter, url: str, attributes: dict[str, str]) -> None:
        # Sent before it is deleted: a crash between the two makes a duplicate, not a loss.
        self._client.send_message(
            QueueUrl=url, MessageBody=letter.body, MessageAttributes=message_attributes(attributes)
        )
        self._delete(letter)

    def _delete(self, letter: DeadLetter) -> None:
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=letter.receipt_handle)
