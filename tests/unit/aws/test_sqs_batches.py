"""Many messages put on a queue, ten with a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from imagescribe.aws.sqs_batches import NotSentError, send_all
from tests.factories import stand_in, unique

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class RefusingQueue:
    """Takes all but the second message of each request."""

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        taken = [{"Id": each["Id"]} for each in request["Entries"] if each["Id"] != "1"]
        return {"Successful": taken, "Failed": [{"Id": "1", "Code": "InternalError", "SenderFault": False}]}


@pytest.mark.parametrize("count", [0, 1, 10, 11, 25])
def test_all_are_sent_however_many(sqs: SQSClient, count: int) -> None:
    url = sqs.create_queue(QueueName=unique("queue"))["QueueUrl"]
    assert send_all(sqs, url, [f"body {number}" for number in range(count)]) == count
    found: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [message["Body"] for message in messages]
    assert sorted(found) == sorted(f"body {number}" for number in range(count))


def test_a_message_that_the_queue_did_not_take_is_an_error() -> None:
    with pytest.raises(NotSentError, match="1 of 3 messages"):
        send_all(stand_in(RefusingQueue()), "url", ["a", "b", "c"])
