"""Each end of an image is an event that keeps to its schema, and the example gets them beside the stack."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from imagescribe_ops.aws.stack import read_outputs
from imagescribe_ops.local import deploy
from imagescribe_ops.simulator import ScriptedAnswer
from tests import event_schemas
from tests.factories import ROOT
from tests.stack import bodies
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture

EXAMPLE = ROOT / "infra" / "examples" / "consumer" / "template.yaml"

type Events = Callable[[str], list[dict[str, Any]]]
"""What was sent so far about a key."""


@pytest.fixture(scope="module")
def events(stack: Deployment) -> Iterator[Events]:
    with received(stack, "ends-of-images") as events:
        yield events


@contextmanager
def received(stack: Deployment, name: str) -> Iterator[Events]:
    """What comes into a queue of one's own from a rule for all that the stack sends."""
    client = events_client(stack.stack.cloud)
    url = stack.sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = stack.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["imagescribe"], "detail": {"bucket": [stack.bucket]}}
    rule = client.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    stack.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    client.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    received: list[dict[str, Any]] = []

    def of_key(key: str) -> list[dict[str, Any]]:
        while messages := stack.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                received.append(json.loads(message["Body"]))
                stack.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [event for event in received if event["detail"]["key"] == key]

    yield of_key
    client.remove_targets(Rule=name, Ids=["queue"])
    client.delete_rule(Name=name)


@pytest.fixture(scope="module")
def consumer(stacks: Stacks, stack: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """The example as it stands, deployed beside the stack; what it wrote to its log."""
    cloud = stacks.cloud
    stacks.cloud.connection.s3().create_bucket(Bucket="examples-zips")
    target = deploy.Target(cloud.endpoint_url, cloud.region, cloud.credentials, "examples-zips")
    deploy.deploy(EXAMPLE, stack="consumer", parameters={}, target=target, directory=tmp_path_factory.mktemp("sam"))
    group = f"/aws/lambda/{read_outputs(cloud.connection, 'consumer')['FunctionName']}"
    logs = cloud.connection.logs()

    def log() -> str:
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return "\n".join(event["message"] for page in pages for event in page["events"])

    return log


def test_every_end_is_an_event_that_keeps_to_its_schema_and_the_example_gets_it(
    stack: Deployment, events: Events, consumer: Callable[[], str]
) -> None:
    keys = {
        "Image Described": "ends/described é.png",
        "Image Rejected": "ends/rejected.png",
        "Image Skipped": "ends/skipped.txt",
        "Image Dead": "ends/dead.png",
    }
    stack.script(keys["Image Rejected"], ScriptedAnswer(status=422, times=None))
    stack.script(keys["Image Dead"], ScriptedAnswer(status=503, times=None))
    for key in keys.values():
        stack.put(key, b"plain text" if key.endswith(".txt") else picture())
    for detail_type, key in keys.items():
        (event,) = stack.until(partial(events, key), f"{detail_type} of {key}")
        event_schemas.check(event)
        assert event["detail-type"] == detail_type
        record = stack.record(key)
        assert record is not None
        for name in event["detail"].keys() - {"schema_version", "reason", "labels"}:
            assert event["detail"][name] == record[name]
        assert event["detail"].get("labels", []) == sorted(record["labels"] or ())

    def has_once(line: str) -> bool:
        return consumer().count(line) == 1

    deleted = keys["Image Described"]
    stack.delete(deleted)
    _, removed = stack.until(lambda: (found := events(deleted))[1:] and found, "an Image Removed event")
    event_schemas.check(removed)
    assert removed["detail-type"] == "Image Removed"

    for detail_type, key in [*keys.items(), ("Image Removed", deleted)]:
        line = json.dumps([detail_type, f"s3://{stack.bucket}/{key}"])[:-1]
        stack.until(partial(has_once, line), f"the example has {line}")


def test_an_announcement_that_could_not_be_made_is_made_later(stack: Deployment, events: Events) -> None:
    key = "ends/announced-later.png"
    with stack.without("Announce", "events:PutEvents"):
        stack.put(key, picture())
        stack.until_described(key)
        stack.until(lambda: any(key in line and "AccessDenied" in line for line in stack.log_lines()), "a denial")
    stack.until(lambda: events(key), "an Image Described event")
    assert stack.billed(key) == 1
    assert stack.dead_letters_of(key) == []


def test_an_image_that_crashes_the_function_is_announced_as_dead(stacks: Stacks) -> None:
    stack = stacks.deploy("crashes", ExistingBucketName=stacks.bucket("pictures-that-crash"))
    upload = stack.put("crashes.png", picture())
    stack.sqs.send_message(  # as SQS moves it, for the fourth time
        QueueUrl=stack.outputs.dead_letter_queue_url,
        MessageBody=bodies.eventbridge(upload),
        MessageAttributes={"redrives": {"DataType": "String", "StringValue": "3"}},
    )
    with received(stack, "crashes") as events:
        stack.lambda_functions.invoke(FunctionName=stack.outputs.recover_function_name)
        (event,) = stack.until(partial(events, upload.key), "an Image Dead event")
    event_schemas.check(event)
    assert (event["detail-type"], event["detail"]["reason"]) == ("Image Dead", "crash")
    record = stack.record(upload.key)
    assert record is not None
    assert (record["status"], record["error"]) == ("dead", event["detail"]["error"])
    assert stack.until_dead(upload.key).reason == "crash"
