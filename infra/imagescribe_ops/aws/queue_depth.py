"""How a queue stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages a queue holds, as SQS estimates it.

    Attributes
    ----------
    visible
        Waiting to be received.
    in_flight
        Received and neither deleted nor visible again: being worked on, or deferred until a time.
    delayed
        Sent with a delay that is not over.
    """

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All messages in the queue."""
        return self.visible + self.in_flight + self.delayed

    @classmethod
    def read(cls, connection: Connection, queue_url: str) -> Self:
        """Ask SQS."""
        with readable_errors():
            attributes = connection.sqs().get_queue_attributes(
                QueueUrl=queue_url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            )["Attributes"]
        return cls(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
        )
