"""SQS in memory: queues whose messages are hidden and counted by a test's clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from re import fullmatch
from typing import Any

from botocore.exceptions import ClientError

MAX_ENTRIES = 10
MAX_REQUEST_BYTES = 1_048_576

_numbers = count(1)


@dataclass
class Message:
    body: str
    attributes: Mapping[str, Any]
    visible_at: float
    message_id: str = field(default_factory=lambda: f"message-{next(_numbers)}")
    receive_count: int = 0
    receipt_handle: str = ""
    sent_at: float = 0.0


@dataclass
class InMemorySQS:
    """Queues come into being when they are first sent to. Where `nets` names one, messages fall into it.

    Attributes
    ----------
    refuses
        Whether an entry of a batch is refused, by the batch's action.
    random
        In which order messages are received; None keeps to the order in which they were sent, which SQS does not.
    """

    clock: Callable[[], float]
    nets: dict[str, tuple[int, str]] = field(default_factory=dict)
    """For a queue: the `maxReceiveCount`, and the dead-letter queue's URL."""
    queues: dict[str, list[Message]] = field(default_factory=dict)
    refuses: Callable[[str, Mapping[str, Any]], bool] = lambda _action, _entry: False
    random: Random | None = None

    def send_message(
        self,
        *,
        QueueUrl: str,
        MessageBody: str,
        DelaySeconds: int = 0,
        MessageAttributes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        message = Message(MessageBody, MessageAttributes or {}, self.clock() + DelaySeconds, sent_at=self.clock())
        self.queue(QueueUrl).append(message)
        return {"MessageId": message.message_id}

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int,
        VisibilityTimeout: int,
        **_options: Any,
    ) -> dict[str, Any]:
        self._let_fall(QueueUrl)
        visible = [message for message in self.queue(QueueUrl) if message.visible_at <= self.clock()]
        if self.random:
            self.random.shuffle(visible)
        return {
            "Messages": [
                self._receive(message, self.clock() + VisibilityTimeout) for message in visible[:MaxNumberOfMessages]
            ]
        }

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        queue = self.queue(QueueUrl)
        queue[:] = [message for message in queue if message.receipt_handle != ReceiptHandle]
        return {}

    def change_message_visibility(
        self,
        *,
        QueueUrl: str,
        ReceiptHandle: str,
        VisibilityTimeout: int,
    ) -> dict[str, Any]:
        for message in self.queue(QueueUrl):
            if message.receipt_handle == ReceiptHandle:
                message.visible_at = self.clock() + VisibilityTimeout
        return {}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        if sum(_bytes(entry) for entry in Entries) > MAX_REQUEST_BYTES:
            raise _refusal("BatchRequestTooLong", "SendMessageBatch")
        return self._each("SendMessageBatch", Entries, lambda entry: self.send_message(QueueUrl=QueueUrl, **entry))

    def delete_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        return self._each("DeleteMessageBatch", Entries, lambda entry: self.delete_message(QueueUrl=QueueUrl, **entry))

    def change_message_visibility_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        return self._each(
            "ChangeMessageVisibilityBatch",
            Entries,
            lambda entry: self.change_message_visibility(QueueUrl=QueueUrl, **entry),
        )

    def _each(
        self, action: str, entries: list[dict[str, Any]], act: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        """Do what a batch asks for, entry by entry, and say which were refused."""
        ids = [entry["Id"] for entry in entries]
        if not entries:
            raise _refusal("EmptyBatchRequest", action)
        if len(entries) > MAX_ENTRIES:
            raise _refusal("TooManyEntriesInBatchRequest", action)
        if len(set(ids)) < len(ids):
            raise _refusal("BatchEntryIdsNotDistinct", action)
        if not all(fullmatch("[A-Za-z0-9_-]{1,80}", each) for each in ids):
            raise _refusal("InvalidBatchEntryId", action)
        done, failed = [], []
        for entry in entries:
            if self.refuses(action, entry):
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
            else:
                answer = act({name: value for name, value in entry.items() if name != "Id"})
                done.append({"Id": entry["Id"], **answer})
        answers = {"Successful": done, "Failed": failed}
        return {name: each for name, each in answers.items() if each}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        self._let_fall(QueueUrl)
        visible = sum(message.visible_at <= self.clock() for message in self.queue(QueueUrl))
        counts = {
            "ApproximateNumberOfMessages": visible,
            "ApproximateNumberOfMessagesNotVisible": len(self.queue(QueueUrl)) - visible,
        }
        return {"Attributes": {name: str(counts.get(name, 0)) for name in AttributeNames}}

    def queue(self, url: str) -> list[Message]:
        return self.queues.setdefault(url, [])

    def _receive(self, message: Message, visible_at: float) -> dict[str, Any]:
        message.receive_count += 1
        message.visible_at = visible_at
        message.receipt_handle = f"{message.message_id}/{message.receive_count}"
        return {
            "MessageId": message.message_id,
            "ReceiptHandle": message.receipt_handle,
            "Body": message.body,
            "Attributes": {
                "ApproximateReceiveCount": str(message.receive_count),
                "SentTimestamp": str(int(message.sent_at * 1000)),
            },
            "MessageAttributes": dict(message.attributes),
        }

    def _let_fall(self, url: str) -> None:
        if url not in self.nets:
            return
        most, net = self.nets[url]
        queue = self.queue(url)
        for message in [each for each in queue if each.receive_count >= most and each.visible_at <= self.clock()]:
            queue.remove(message)
            self.send_message(QueueUrl=net, MessageBody=message.body, MessageAttributes=message.attributes)


def _bytes(entry: Mapping[str, Any]) -> int:
    attributes = entry.get("MessageAttributes", {})
    texts = [part for name, each in attributes.items() for part in (name, each["DataType"], each["StringValue"])]
    return sum(len(text.encode()) for text in (entry["MessageBody"], *texts))


def _refusal(code: str, action: str) -> ClientError:
    return ClientError({"Error": {"Code": f"AWS.SimpleQueueService.{code}", "Message": "as SQS would"}}, action)
