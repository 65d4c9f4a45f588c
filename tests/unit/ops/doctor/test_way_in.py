"""The bucket, its events and the rule, where the emulator of the stack's tests can't break them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from imagescribe_ops.doctor import way_in
from imagescribe_ops.doctor.findings import NotCheckedError, State
from tests.aws_cli import aws_lines, run_aws
from tests.unit.ops.doctor.conftest import Make, only, put_rule
from tests.unit.stack_in_moto import StackInMoto


def test_a_bucket_that_is_gone_is_made_again(examined: Make, made: StackInMoto, aws: boto3.Session) -> None:
    made.s3.delete_bucket(Bucket=made.bucket)
    verdict = way_in.bucket(examined())
    assert verdict.state is State.BROKEN
    run_aws(aws, aws_lines(verdict.mend)[0])
    assert way_in.bucket(examined()).state is State.WELL


def test_a_bucket_in_another_region_is_told(examined: Make) -> None:
    examination = examined()
    examination.s3 = only(head_bucket={"BucketRegion": "eu-west-1"})
    verdict = way_in.bucket(examination)
    assert verdict.state is State.BROKEN
    assert "is in eu-west-1, and the stack in eu-central-1" in verdict.found


def test_a_bucket_that_is_told_to_tell_eventbridge_goes_on_telling_others(
    examined: Make, made: StackInMoto, aws: boto3.Session
) -> None:
    queue = examined().queue_arn(made.sqs.create_queue(QueueName="of-others")["QueueUrl"])
    others: Any = [{"Id": "mine", "QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}]
    made.s3.put_bucket_notification_configuration(
        Bucket=made.bucket, NotificationConfiguration={"QueueConfigurations": others}
    )
    verdict = way_in.bucket_events(examined())
    assert verdict.state is State.BROKEN
    (line,) = aws_lines(verdict.mend)
    run_aws(aws, line)
    assert '"EventBridgeConfiguration": {}' in line  # which moto does not tell of afterwards
    assert made.s3.get_bucket_notification_configuration(Bucket=made.bucket)["QueueConfigurations"] == others


@pytest.mark.parametrize("prefix", ["", "holiday photos/é"])
def test_the_pattern_of_the_template_matches_what_is_under_the_prefix(examined: Make, prefix: str) -> None:
    examination = examined(KeyPrefix=prefix)
    put_rule(examination)
    verdict = way_in.pattern(examination)
    assert (verdict.state, verdict.found) == (
        State.WELL,
        f"it matches an upload to s3://{examination.outputs.bucket_name}/{prefix}doctor.png",
    )


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"detail": {"object": {"key": [{"prefix": "elsewhere/"}]}}}, "broken"),
        ({"account": ["210987654321"]}, "broken"),
        ({"detail-type": ["Object Deleted"]}, "broken"),
        ({"detail-type": ["Object Created"]}, "warning"),
        ({"detail": {"object": {"key": [{"suffix": ".png"}]}}}, "warning"),  # the key that is tried ends so
        ({"region": ["eu-central-1"]}, "warning"),
    ],
)
def test_a_pattern_that_leaves_something_out_is_put_back(
    examined: Make, aws: boto3.Session, change: dict[str, Any], state: str
) -> None:
    examination = examined()
    put_rule(examination, EventPattern=json.dumps(way_in.expected_pattern(examination) | change))
    verdict = way_in.pattern(examination)
    assert verdict.state == state
    run_aws(aws, aws_lines(verdict.mend)[0])
    assert way_in.pattern(examination).state is State.WELL


def test_a_pattern_that_may_not_be_tried_and_is_another_is_not_checked(
    examined: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    examination = examined()
    put_rule(examination, EventPattern='{"source": ["aws.s3"]}')

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": ""}}, "TestEventPattern")

    monkeypatch.setattr(examination.events, "test_event_pattern", refuse)
    with pytest.raises(NotCheckedError, match="events:TestEventPattern is missing to try it"):
        way_in.pattern(examination)


@pytest.mark.parametrize(
    ("change", "state"),
    [({"InputPath": "$.detail"}, "broken"), ({}, "warning")],
)
def test_a_target_that_gets_something_else_or_loses_what_fails(
    examined: Make, aws: boto3.Session, change: dict[str, Any], state: str
) -> None:
    examination = examined()
    rule, queue = put_rule(examination), examination.queue_arn(examination.outputs.upload_queue_url)
    target: Any = {"Id": "UploadQueue", "Arn": queue} | change
    examination.events.put_targets(Rule=rule, Targets=[target])
    verdict = way_in.target(examination)
    assert verdict.state == state
    run_aws(aws, aws_lines(verdict.mend)[0])
    assert way_in.target(examination).state is State.WELL


def test_without_a_rule_nothing_is_said_of_its_pattern_and_target(examined: Make) -> None:
    examination = examined()
    assert way_in.rule(examination).state is State.BROKEN
    for check in (way_in.pattern, way_in.target):
        with pytest.raises(NotCheckedError, match="There is no rule"):
            check(examination)
