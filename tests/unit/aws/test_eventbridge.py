"""Whoever builds on "this image has been described" gets an event with all that is known of the image."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from imagescribe.aws.eventbridge import MAX_BYTES, Announcements
from imagescribe.endpoint import MAX_BODY_BYTES, MAX_NAME_LENGTH
from imagescribe.model.announcements import Announcement, DetailType
from imagescribe.model.answers import read_prompt
from tests.factories import make_upload, stand_in, unique

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_sqs import SQSClient


class CountingBus:
    """A bus that takes every event but those of some images, and keeps the requests."""

    def __init__(self, refused: str = "no image") -> None:
        self.refused = refused
        self.requests: list[list[dict[str, Any]]] = []

    def put_events(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request["Entries"])
        refused = [self.refused in entry["Detail"] for entry in request["Entries"]]
        entries = [{"ErrorCode": "InternalFailure"} if each else {"EventId": "1"} for each in refused]
        return {"FailedEntryCount": sum(refused), "Entries": entries}


def described(number: int, prompt: str = "a cat") -> Announcement:
    return Announcement(DetailType.DESCRIBED, make_upload(key=f"cat-{number}.png"), {"prompt": prompt})


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
    announcement = Announcement(
        DetailType.DESCRIBED, upload, {"prompt": 'It\'s "quoted", 5 % 写真', "model": "pixtral-12b"}
    )
    assert Announcements(eventbridge).send([announcement]) == [None]

    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    event = json.loads(message["Body"])
    assert (event["source"], event["detail-type"]) == ("imagescribe", "Image Described")
    assert event["detail"] == {
        "schema_version": 1,
        "image": "s3://imagescribe-test/holiday photos/Café 🦊.png",
        "bucket": upload.bucket,
        "key": upload.key,
        "version_id": version_id,
        "etag": upload.etag,
        "size": upload.size,
        "sequencer": upload.sequencer,
        "prompt": 'It\'s "quoted", 5 % 写真',
        "model": "pixtral-12b",
    }
    eventbridge.remove_targets(Rule=rule, Ids=["queue"])


def test_those_that_the_bus_refuses_are_told_from_the_others() -> None:
    bus = CountingBus(refused="cat-1.png")
    errors = Announcements(stand_in(bus)).send([described(number) for number in range(3)])
    assert errors == [None, "InternalFailure", None]


def test_a_batch_is_one_request() -> None:
    bus = CountingBus()
    assert Announcements(stand_in(bus)).send([described(number) for number in range(10)]) == [None] * 10
    assert len(bus.requests) == 1


@pytest.mark.parametrize("length", [0, 1_000, 60_000, 131_072])
def test_no_request_is_larger_than_the_bus_takes(length: int) -> None:
    bus = CountingBus(refused="cat-24.png")
    errors = Announcements(stand_in(bus)).send([described(number, "é" * (length // 2)) for number in range(25)])
    assert errors == [None] * 24 + ["InternalFailure"]
    for request in bus.requests:
        assert len(request) <= 10
        assert sum(len("".join(entry.values()).encode()) for entry in request) <= 256 * 1024
    assert len(bus.requests) == (3 if length <= 1_000 else 25 if length > 100_000 else 7)


def test_nothing_to_announce_is_no_request() -> None:
    bus = CountingBus()
    assert Announcements(stand_in(bus)).send([]) == []
    assert bus.requests == []


@pytest.mark.parametrize("repeated", [b"\xff", b'"', b"\n.", "写".encode(), b"."], ids=repr)
def test_the_longest_prompt_that_is_read_is_an_event_that_the_bus_takes_whatever_it_is_made_of(repeated: bytes) -> None:
    body = (b"x" + repeated * MAX_BODY_BYTES)[:MAX_BODY_BYTES].decode("utf-8", "replace")
    prompt = read_prompt(body)
    assert prompt
    upload = make_upload(key='"' * 1_024)
    detail = Announcement(DetailType.DESCRIBED, upload, {"prompt": prompt, "model": "m" * MAX_NAME_LENGTH}).detail()
    assert len(detail.encode()) < MAX_BYTES
