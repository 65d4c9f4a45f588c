"""SQS in memory: queues whose messages are hidden and counted by a test's clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

_numbers = count(1)


@dataclass
class Message:
    body: str
    attributes: Mapping[str, Any]
    visible_at: float
    message_id: str = field(default_factory=lambda: f"message-{next(_numbers)}")
    receives: int = 0
    receipt_handle: str = ""


@dataclass
class InMemorySQS:
    """Queues come into being when they are first sent to. Where `nets` names one, messages fall into it."""

    clock: Callable[[], float]
    nets: dict[str, tuple[int, str]] = field(default_factory=dict)
    """For a queue: the `maxReceiveCount`, and the dead-letter queue's URL."""
    queues: dict[str, list[Message]] = field(default_factory=dict)

    def send_message(
        self,
        *,
        QueueUrl: str,
        MessageBody: str,
        DelaySeconds: int = 0,
        MessageAttributes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        message = Message(MessageBody, MessageAttributes or {}, self.clock() + DelaySeconds)
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

    def change_message_visibility_batch(
        self,
        *,
        QueueUrl: str,
        Entries: list[dict[str, Any]],
    ) -> dict[str, Any]:
        for entry in Entries:
            changes = {name: value for name, value in entry.items() if name != "Id"}
            self.change_message_visibility(QueueUrl=QueueUrl, **changes)
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}

    def get_queue_attributes(self, *, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:
        self._let_fall(QueueUrl)
        visible = [message for message in self.queue(QueueUrl) if message.visible_at <= self.clock()]
        return {"Attributes": dict.fromkeys(AttributeNames, str(len(visible)))}

    def queue(self, url: str) -> list[Message]:
        return self.queues.setdefault(url, [])

    def _receive(self, message: Message, visible_at: float) -> dict[str, Any]:
        message.receives += 1
        message.visible_at = visible_at
        message.receipt_handle = f"{message.message_id}/{message.receives}"
        return {
            "MessageId": message.message_id,
            "ReceiptHandle": message.receipt_handle,
            "Body": message.body,
            "Attributes": {"ApproximateReceiveCount": str(message.receives)},
            "MessageAttributes": dict(message.attributes),
        }

    def _let_fall(self, url: str) -> None:
        if url not in self.nets:
            return
        most, net = self.nets[url]
        queue = self.queue(url)
        for message in [each for each in queue if each.receives >= most and each.visible_at <= self.clock()]:
            queue.remove(message)
            self.send_message(QueueUrl=net, MessageBody=message.body, MessageAttributes=message.attributes)
