"""One paid call for each distinct picture, and the event that tells of each description."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stack import bodies
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture


@pytest.fixture(scope="module")
def events(stack: Deployment) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What comes into a queue of one's own from a rule for `Image Described`."""
    client = events_client(stack.stack.cloud)
    url = stack.sqs.create_queue(QueueName="described-images")["QueueUrl"]
    arn = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["imagescribe"], "detail-type": ["Image Described"]}
    rule = client.put_rule(Name="described-images", EventPattern=json.dumps(pattern))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    client.put_targets(Rule="described-images", Targets=[{"Id": "queue", "Arn": arn}])
    received: list[dict[str, Any]] = []

    def all_events() -> list[dict[str, Any]]:
        while messages := stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                received.append(json.loads(message["Body"]))
                stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received

    yield all_events
    client.remove_targets(Rule="described-images", Ids=["queue"])
    client.delete_rule(Name="described-images")


def test_the_same_picture_under_two_names_is_paid_for_once(stack: Deployment) -> None:
    keys = ["pay-once/cat.png", "pay-once/cat (copy).png"]
    content = picture()
    for key in keys:
        stack.put(key, content)
    records = stack.until_described(*keys)
    assert records[keys[0]]["prompt"] == records[keys[1]]["prompt"]
    assert all(stack.tags(key)["prompt"] for key in keys)
    assert stack.billed(*keys) == 1


def test_the_same_event_many_times_is_paid_for_once(by_hand: Deployment) -> None:
    upload = by_hand.put("pay-once/duplicates.png", picture())
    body = bodies.eventbridge(upload)
    sent = [by_hand.send(body) for _ in range(12)]
    by_hand.until_described(upload.key)
    by_hand.until_handled(*sent)
    by_hand.until_idle()
    assert by_hand.billed(upload.key) == 1
    assert by_hand.dead_letters_of(upload.key) == []


def test_a_picture_that_comes_back_after_its_deletion_is_not_paid_for_again(stack: Deployment) -> None:
    key, content = "pay-once/back.png", picture()
    stack.put(key, content)
    prompt = stack.until_described(key)[key]["prompt"]
    stack.delete(key)
    stack.until_gone(key)
    stack.put(key, content)
    assert stack.until_described(key)[key]["prompt"] == prompt
    assert stack.billed(key) == 1


def test_another_picture_under_the_same_name_is_described_anew(stack: Deployment) -> None:
    key = "pay-once/replaced.png"
    stack.put(key, picture())
    first = stack.until_described(key)[key]
    second = stack.put(key, picture(width=16, height=48))
    record = stack.until(
        lambda: (found := stack.record(key)) and found["etag"] == second.etag and found["prompt"] and found,
        "the second picture's prompt",
    )
    assert record["prompt"] != first["prompt"]
    assert stack.tags(key)["prompt"].startswith(record["prompt"][:20])
    assert stack.billed(key) == 2


def test_a_description_is_announced(stack: Deployment, events: Callable[[], list[dict[str, Any]]]) -> None:
    upload = stack.put("pay-once/announced é.png", picture())
    record = stack.until_described(upload.key)[upload.key]
    event = stack.until(
        lambda: [each for each in events() if each["detail"]["key"] == upload.key], "an Image Described event"
    )[0]
    assert (event["source"], event["detail-type"]) == ("imagescribe", "Image Described")
    detail = event["detail"]
    assert (detail["image"], detail["bucket"]) == (upload.image, upload.bucket)
    assert (detail["etag"], detail["size"]) == (upload.etag, upload.size)
    assert detail["prompt"] == record["prompt"]


def test_an_announcement_that_could_not_be_made_is_made_later(
    stack: Deployment, events: Callable[[], list[dict[str, Any]]]
) -> None:
    key = "pay-once/announced-later.png"
    with stack.without("Announce", "events:PutEvents"):
        stack.put(key, picture())
        stack.until_described(key)
        stack.until(lambda: any(key in line and "AccessDenied" in line for line in stack.log_lines()), "a denial")
    stack.until(lambda: [each for each in events() if each["detail"]["key"] == key], "an Image Described event")
    assert stack.billed(key) == 1
    assert stack.dead_letters_of(key) == []
