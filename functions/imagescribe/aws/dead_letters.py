"""The dead-letter queue: which dead letters come back to the queue that they are of, and which stay for a person.

SQS has no look at a queue that leaves it alone: to work through one is to receive its messages, which hides them, and
to show those that stay again in the end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched, islice
from typing import TYPE_CHECKING, Final

from imagescribe.aws.sqs_batches import MAX_ENTRIES, send_messages
from imagescribe.errors import ImageScribeError
from imagescribe.model.dead_letter import DeadLetter
from imagescribe.model.outcomes import Reason

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

RUN_SECONDS: Final = 20
"""How long a run receives more: the recover function has 50 s, and what stays has to be shown again, too."""

VISIBILITY_SECONDS: Final = 120
"""Longer than a run and all that it does after its last receive, so that nobody is given what it works on. After a
crash the dead letters are hidden for the rest of it."""

READ_SECONDS: Final = 5
"""How long a reading goes on."""

READS_WITHOUT_NEWS: Final = 3
"""A reading hides nothing, so that SQS gives the same messages again and again. After so many receives without a new
one, it has seen what it will see."""


class NotDeletedError(ImageScribeError):
    """Dead letters were dealt with and are on their queue still: they will be once more, and nothing is lost."""


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a run did.

    Attributes
    ----------
    by_reason
        How many dead letters were sent back.
    more
        Whether there may be more to send back: it stopped at a bound, or the queue refused some.
    """

    by_reason: Counter[Reason]
    more: bool


class DeadLetters:
    """The dead-letter queue of the upload queue and of the backfill queue.

    Parameters
    ----------
    backfill_queue_url
        Empty where the stack has none: then all goes back to the upload queue.
    """

    def __init__(
        self,
        client: SQSClient,
        url: str,
        upload_queue_url: str,
        backfill_queue_url: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._url = url
        self._upload_queue_url = upload_queue_url
        self._backfill_queue_url = backfill_queue_url or upload_queue_url
        self._clock = clock

    def redrive(
        self,
        comes_back: Callable[[DeadLetter], bool],
        most: int,
        *,
        is_operators: bool = False,
        bury: Callable[[DeadLetter], bool] = lambda _dead_letter: True,
    ) -> Redriven:
        """Send dead letters back to the queues that they are of, and show the others again.

        Parameters
        ----------
        comes_back
            Says it of each dead letter.
        most
            How many are sent back at the most.
        is_operators
            Whether a person sends them back. Then their count of redrives starts anew; otherwise each counts, and
            those that stay are given the reason that they lack.
        bury
            Called with each that is about to be given its reason, which it is only if this returns True; otherwise it
            is called again in a later run.

        Raises
        ------
        NotDeletedError
            Some were sent back and are dead letters still.
        """

        def count(dead_letter: DeadLetter) -> Mapping[str, str]:
            return {"redrives": str(0 if is_operators else dead_letter.redrives + 1)}

        def send_back(dead_letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
            of_backfill = [each for each in dead_letters if each.is_of_backfill]
            of_today = [each for each in dead_letters if not each.is_of_backfill]
            return [
                *self._move(of_today, self._upload_queue_url, count),
                *self._move(of_backfill, self._backfill_queue_url, count),
            ]

        def give_reasons(dead_letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
            lacking = [each for each in dead_letters if not each.has_reason and bury(each)]
            return self._move(lacking, self._url, _reason_of)

        return self._work_through(comes_back, send_back, most, None if is_operators else give_reasons)

    def discard(self, is_settled: Callable[[DeadLetter], bool], most: int) -> Counter[Reason]:
        """Delete dead letters that have become pointless, and show the others again.

        Raises
        ------
        NotDeletedError
            Some of them are on the queue still.
        """

        def delete(dead_letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
            self._delete(dead_letters)
            return dead_letters

        return self._work_through(is_settled, delete, most).by_reason

    def depth(self) -> int:
        """Return how many dead letters can be received, as SQS estimates it."""
        attributes = self._client.get_queue_attributes(
            QueueUrl=self._url, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]
        return int(attributes["ApproximateNumberOfMessages"])

    def read(self, most: int) -> list[DeadLetter]:
        """Return dead letters, and leave the queue as it is: none is moved, changed or hidden.

        The price of that is a sample where the queue is long: SQS gives what it likes, ten at a time.

        Parameters
        ----------
        most
            How many are read at the most.
        """
        read: dict[str, DeadLetter] = {}
        without_news, ends_at = 0, self._clock() + READ_SECONDS
        while len(read) < most and without_news < READS_WITHOUT_NEWS and self._clock() < ends_at:
            dead_letters = self._receive(hidden_seconds=0)
            if not dead_letters:
                break
            known = len(read)
            read |= {each.message_id: each for each in dead_letters}
            without_news = 0 if len(read) > known else without_news + 1
        return list(islice(read.values(), most))

    def _work_through(
        self,
        takes: Callable[[DeadLetter], bool],
        act: Callable[[Sequence[DeadLetter]], Sequence[DeadLetter]],
        most: int,
        act_on_others: Callable[[Sequence[DeadLetter]], Sequence[DeadLetter]] | None = None,
    ) -> Redriven:
        """Act on the dead letters that a test takes, ten at a time, and show the others again, whatever happens.

        Parameters
        ----------
        act, act_on_others
            Return those that are off the queue.
        """
        done: Counter[Reason] = Counter()
        held: dict[str, DeadLetter] = {}
        were_refused, ends_at = False, self._clock() + RUN_SECONDS
        try:
            while done.total() < most and self._clock() < ends_at:
                received = self._receive(VISIBILITY_SECONDS)
                if not received:
                    return Redriven(done, more=were_refused)
                held |= {each.receipt_handle: each for each in received}
                taken = list(islice(filter(takes, received), most - done.total()))
                gone = act(taken)
                done.update(each.reason for each in gone)
                were_refused |= len(gone) < len(taken)
                if act_on_others:
                    gone = [*gone, *act_on_others([each for each in received if each not in taken])]
                for each in gone:
                    del held[each.receipt_handle]
            return Redriven(done, more=True)
        finally:
            self._show(held.values())

    def _receive(self, hidden_seconds: int) -> list[DeadLetter]:
        messages = self._client.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=MAX_ENTRIES,
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=1,  # a short poll asks only some of SQS's servers, and can miss what is there
            AttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        return [DeadLetter.of_message(message) for message in messages]

    def _move(
        self, dead_letters: Sequence[DeadLetter], url: str, attributes: Callable[[DeadLetter], Mapping[str, str]]
    ) -> list[DeadLetter]:
        """Send dead letters to a queue, with the attributes of each, and return those that the queue took."""
        moved: list[DeadLetter] = []
        messages = [(each.body, attributes(each)) for each in dead_letters]
        for taken in send_messages(self._client, url, messages):
            sent = [dead_letters[number] for number in taken]
            # Sent before it is deleted: a crash between the two makes a duplicate, not a loss.
            self._delete(sent)
            moved += sent
        return moved

    def _delete(self, dead_letters: Sequence[DeadLetter]) -> None:
        if not dead_letters:
            return
        answer = self._client.delete_message_batch(
            QueueUrl=self._url,
            Entries=[
                {"Id": str(number), "ReceiptHandle": each.receipt_handle} for number, each in enumerate(dead_letters)
            ],
        )
        if failed := answer.get("Failed"):
            reasons = ", ".join(f"{dead_letters[int(each['Id'])].message_id}: {each['Code']}" for each in failed)
            raise NotDeletedError(
                f"the queue did not delete {len(failed)} of {len(dead_letters)} dead letters ({reasons})"
            )

    def _show(self, dead_letters: Collection[DeadLetter]) -> None:
        """Let them be received again at once. One that the queue does not show comes when its visibility ends."""
        for some in batched(dead_letters, MAX_ENTRIES):
            self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": each.receipt_handle, "VisibilityTimeout": 0}
                    for number, each in enumerate(some)
                ],
            )


def _reason_of(dead_letter: DeadLetter) -> Mapping[str, str]:
    return {"reason": dead_letter.reason, "detail": dead_letter.detail, "redrives": str(dead_letter.redrives)}
