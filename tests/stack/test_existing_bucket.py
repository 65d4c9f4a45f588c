"""A bucket that exists already is attached without touching what it has."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.stack.conftest import Stacks, notifications_of
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

BUCKET = "family-album"
PREFIX = 'Jörg\'s "in" $1 (new)/'
"""As awkward as the template takes one: it stands in the rule's pattern and in the role's policy."""

OUTSIDE = PREFIX.replace("/", "-outside.png")
OLD_OBJECT = f"{PREFIX}here-before.png"


@dataclass(frozen=True, slots=True)
class Attached:
    """The stack, the bucket's notifications before it was attached, and what its own queue was told."""

    deployment: Deployment
    notifications_before: dict[str, Any]
    told: Callable[[], set[str]]


@pytest.fixture(scope="module")
def attached(stacks: Stacks) -> Attached:
    """A stack on a bucket that has an object and a notification of its own, and EventBridge turned on."""
    connection = stacks.cloud.connection
    s3, sqs = connection.s3(), connection.sqs()
    stacks.bucket(BUCKET)
    s3.put_object(Bucket=BUCKET, Key=OLD_OBJECT, Body=picture())
    url = sqs.create_queue(QueueName="family-album-uploads")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Version": "2012-10-17", "Statement": [notifications_of(BUCKET, arn)]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    s3.put_bucket_notification_configuration(
        Bucket=BUCKET,
        NotificationConfiguration={
            "QueueConfigurations": [{"Id": "their-own", "QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}],
            "EventBridgeConfiguration": {},
        },
    )
    seen: set[str] = set()

    def told() -> set[str]:
        while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                seen.update(
                    unquote_plus(record["s3"]["object"]["key"])
                    for record in json.loads(message["Body"]).get("Records", [])
                )
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return seen

    before = _notifications(s3.get_bucket_notification_configuration(Bucket=BUCKET))
    deployment = stacks.deploy("attached", ExistingBucketName=BUCKET, KeyPrefix=PREFIX, PromptTagKey="ai:prompt")
    return Attached(deployment, before, told)


def test_the_buckets_own_notification_is_kept_and_goes_on_working(attached: Attached) -> None:
    deployment = attached.deployment
    after = _notifications(deployment.s3.get_bucket_notification_configuration(Bucket=BUCKET))
    assert after == attached.notifications_before
    deployment.put(f"{PREFIX}new.png", picture())
    deployment.until_described(f"{PREFIX}new.png")
    deployment.until(lambda: f"{PREFIX}new.png" in attached.told(), "the bucket's own notification")


def test_only_keys_under_the_prefix_are_described(attached: Attached) -> None:
    deployment = attached.deployment
    for key in ("out/side.png", OUTSIDE, f"{PREFIX}side.png"):
        deployment.put(key, picture())
    deployment.until_described(f"{PREFIX}side.png")
    deployment.until_idle()
    assert {record["key"] for record in deployment.records()} & {"out/side.png", OUTSIDE} == set()
    assert deployment.dead_letters() == []


def test_objects_that_were_there_before_are_left_alone(attached: Attached) -> None:
    assert attached.deployment.record(OLD_OBJECT) is None
    assert attached.deployment.tags(OLD_OBJECT) == {}


def test_the_prompt_stands_under_the_tag_that_the_parameter_names(attached: Attached) -> None:
    key = f"{PREFIX}tagged.png"
    attached.deployment.put(key, picture(), "prompt=not+ours")
    attached.deployment.until_described(key)
    tags = attached.deployment.tags(key)
    assert tags["prompt"] == "not ours"
    assert tags["ai:prompt"].startswith("Simulated description")


def _notifications(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}
