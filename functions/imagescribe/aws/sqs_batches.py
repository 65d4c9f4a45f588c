"""Requests to SQS with up to ten messages each, within its limits. It may take some of them and refuse others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from imagescribe.aws.sqs import message_attributes
from imagescribe.errors import ImageScribeError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

MAX_ENTRIES: Final = 10
MAX_REQUEST_BYTES: Final = 262_144
"""Of all messages of a request. SQS takes 1 MiB today, but a queue may be set to less and is left at that:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""


class NotSentError(ImageScribeError):
    """The queue did not take some messages of a batch; it may have taken the others."""


def send_all(client: SQSClient, url: str, bodies: Iterable[str]) -> int:
    """Send messages, and return how many.

    Raises
    ------
    NotSentError
        The queue refused some. To send all again is harmless: an event that comes twice is paid for once.
    """
    sent = 0
    for batch in batched(bodies, MAX_ENTRIES):
        taken = sum(len(each) for each in send_messages(client, url, [(body, {}) for body in batch]))
        if taken < len(batch):
            raise NotSentError(f"the queue did not take {len(batch) - taken} of {len(batch)} messages")
        sent += taken
    return sent


def send_messages(
    client: SQSClient, queue_url: str, messages: Sequence[tuple[str, Mapping[str, str]]]
) -> Iterator[list[int]]:
    """Send messages, each a body and its attributes, and yield after each request which ones the queue took."""
    entries: list[SendMessageBatchRequestEntryTypeDef] = [
        {"Id": str(number), "MessageBody": body, "MessageAttributes": message_attributes(attributes)}
        for number, (body, attributes) in enumerate(messages)
    ]
    for request in _requests(entries):
        try:
            answer = client.send_message_batch(QueueUrl=queue_url, Entries=request)
        except ClientError as error:
            # One that is too large with its new attributes must not keep all others from being sent.
            if len(request) > 1 or not error.response["Error"]["Code"].endswith("BatchRequestTooLong"):
                raise
            continue
        yield [int(each["Id"]) for each in answer.get("Successful", [])]


def _requests(
    entries: Sequence[SendMessageBatchRequestEntryTypeDef],
) -> Iterator[list[SendMessageBatchRequestEntryTypeDef]]:
    request: list[SendMessageBatchRequestEntryTypeDef] = []
    size = 0
    for entry in entries:
        length = _bytes(entry)
        if request and (len(request) == MAX_ENTRIES or size + length > MAX_REQUEST_BYTES):
            yield request
            request, size = [], 0
        request.append(entry)
        size += length
    if request:
        yield request


def _bytes(entry: SendMessageBatchRequestEntryTypeDef) -> int:
    """Return what a message counts for: its body, and each attribute's name, type and value."""
    parts = [entry["MessageBody"]]
    for name, attribute in entry.get("MessageAttributes", {}).items():
        parts += [name, attribute["DataType"], attribute.get("StringValue", "")]
    return sum(len(part.encode()) for part in parts)
