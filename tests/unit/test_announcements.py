"""Whoever builds on "this image has been described" gets an event with all that is known of the image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from imagescribe.announcements import AnnouncementError, Announcements
from tests.factories import make_upload, unique

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient


class RefusingBus:
    """A bus that answers 200 and takes nothing, as EventBridge does where an entry fails."""

    def put_events(self, **_arguments: object) -> object:
        return {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure", "ErrorMessage": "later"}]}


@pytest.mark.parametrize("version_id", [None, "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"])
def test_a_described_image_is_announced_with_all_that_is_known_of_it(
    version_id: str | None, eventbridge: EventBridgeClient, sqs: SQSClient
) -> None:
    queue = sqs.create_queue(QueueName=unique("subscriber"))["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    rule = unique("rule")
    pattern = {"source": ["imagescribe"], "detail-type": ["Image Described"]}
    eventbridge.put_rule(Name=rule, EventPattern=json.dumps(pattern))
    eventbridge.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": arn}])

    upload = make_upload(key="holiday photos/Café 🦊.png", version_id=version_id)
    Announcements(eventbridge).described(upload, 'It\'s "quoted", 5 % 写真')

    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("imagescribe", "Image Described")
    assert event["detail"] == {
        "image": "s3://imagescribe-test/holiday photos/Café 🦊.png",
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": version_id,
        "etag": upload.etag,
        "size": upload.size,
        "sequencer": upload.sequencer,
        "prompt": 'It\'s "quoted", 5 % 写真',
    }
    eventbridge.remove_targets(Rule=rule, Ids=["queue"])


def test_an_event_that_the_bus_refuses_is_an_error_with_its_code() -> None:
    with pytest.raises(AnnouncementError, match="InternalFailure"):
        Announcements(RefusingBus()).described(make_upload(), "a cat")  # type: ignore[arg-type]
