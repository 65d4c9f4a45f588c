"""The queue in memory refuses the batches that moto's refuses."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.stage import Stage


def entries(*ids: str, body: str = "x") -> list[dict[str, Any]]:
    return [{"Id": each, "MessageBody": body} for each in ids]


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries(*"abcdefghijk"), "TooManyEntriesInBatchRequest"),
        (entries("a", "b", "a"), "BatchEntryIdsNotDistinct"),
        (entries("a b"), "InvalidBatchEntryId"),
        (entries("a", "b", body="x" * 524_289), "BatchRequestTooLong"),
    ],
)
def test_a_batch_that_breaks_a_rule_is_refused_as_a_whole(
    either: Stage, refused: list[dict[str, Any]], code: str
) -> None:
    with pytest.raises(ClientError) as error:
        either.sqs.client.send_message_batch(QueueUrl=either.upload_queue_url, Entries=refused)
    assert error.value.response["Error"]["Code"] == f"AWS.SimpleQueueService.{code}"
    assert either.receive(either.upload_queue_url, 0) == []


def test_a_batch_is_sent_hidden_shown_and_deleted(either: Stage) -> None:
    sqs, url = either.sqs.client, either.upload_queue_url
    sent = sqs.send_message_batch(QueueUrl=url, Entries=entries(*"abcdefghij"))
    assert {each["Id"] for each in sent["Successful"]} == set("abcdefghij")
    handles = [message["ReceiptHandle"] for message in either.receive(url, 600)]
    shown = [
        {"Id": str(n), "ReceiptHandle": handle, "VisibilityTimeout": 0} for n, handle in enumerate(handles) if n < 4
    ]
    sqs.change_message_visibility_batch(QueueUrl=url, Entries=shown)
    either.clock.sleep(0.01)
    again = either.receive(url, 600)
    assert len(again) == 4
    deleted = [{"Id": str(n), "ReceiptHandle": each["ReceiptHandle"]} for n, each in enumerate(again)]
    sqs.delete_message_batch(QueueUrl=url, Entries=deleted)
    either.clock.sleep(601)
    assert len(either.receive(url, 0)) == 6
