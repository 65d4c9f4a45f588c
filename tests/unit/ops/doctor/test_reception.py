"""Queues and event source mappings, where the emulator of the stack's tests can't break them."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.doctor import reception
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import NotCheckedError, State, Verdict
from tests.aws_cli import aws_lines, run_aws
from tests.sam_template import resources
from tests.unit.ops.doctor.conftest import Make, only
from tests.unit.stack_in_moto import StackInMoto


def test_a_queue_that_is_gone_is_made_again_as_the_template_has_it(
    examined: Make, made: StackInMoto, aws: boto3.Session
) -> None:
    url = made.outputs["UploadQueueUrl"]
    made.sqs.delete_queue(QueueUrl=url)
    verdict = reception.queue_policy(examined())
    assert verdict.state is State.BROKEN
    assert f"There is no queue {url}." in verdict.found
    run_aws(aws, aws_lines(verdict.mend)[0])
    found = made.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    wanted = resources("AWS::SQS::Queue")["UploadQueue"]
    for name in ("MessageRetentionPeriod", "VisibilityTimeout"):
        assert found[name] == str(wanted[name])
    assert f'"maxReceiveCount": {wanted["RedrivePolicy"]["maxReceiveCount"]}' in found["RedrivePolicy"]


def test_a_new_queue_and_its_dead_letter_queue_are_opened_to_the_rule_one_after_the_other(
    examined: Make, aws: boto3.Session
) -> None:
    examination = examined()
    for state in (State.BROKEN, State.WARNING):
        verdict = reception.queue_policy(examination)
        assert verdict.state is state
        run_aws(aws, aws_lines(verdict.mend)[0])
    assert reception.queue_policy(examination).state is State.WELL


def test_a_policy_that_can_not_be_judged_is_not_checked(examined: Make, made: StackInMoto) -> None:
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", '
        '"Resource": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}}]}'
    )
    made.sqs.set_queue_attributes(QueueUrl=made.outputs["UploadQueueUrl"], Attributes={"Policy": policy})
    with pytest.raises(NotCheckedError, match="conditions that can't be judged"):
        reception.queue_policy(examined())


def test_what_is_refused_is_not_taken_for_gone(examined: Make) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "GetQueueAttributes")

    examination = examined()
    examination.sqs = only(get_queue_attributes=refuse)
    with pytest.raises(ClientError):
        reception.queue_policy(examination)


# ── The event source mappings ────────────────────────────────────────────────────────────────────────────────────────


def with_mapping(examination: Examination, state: str, **more: Any) -> Verdict:
    """The verdict on a mapping of the upload queue in a state; moto has it on another queue."""
    queue = examination.queue_arn(examination.outputs.upload_queue_url)
    mapping = {"EventSourceArn": queue, "State": state, "FunctionResponseTypes": ["ReportBatchItemFailures"]}
    examination.mappings = [{"UUID": "1"} | mapping | more]  # type: ignore[list-item]
    return reception.uploads_mapping(examination)


@pytest.mark.parametrize("state", ["Enabled", "Enabling", "Updating"])
def test_a_mapping_that_is_on_or_will_be_is_well(examined: Make, state: str) -> None:
    assert with_mapping(examined(), state).state is State.WELL


def test_a_mapping_that_is_being_deleted_is_none(examined: Make) -> None:
    assert "no event source mapping" in with_mapping(examined(), "Deleting").found


@pytest.mark.parametrize(
    ("changed", "says", "mends"),
    [
        ({"FunctionResponseTypes": []}, "what waits is deleted", "--function-response-types ReportBatchItemFailures"),
        ({"FilterCriteria": {"Filters": [{"Pattern": "{}"}]}}, "filter", "--filter-criteria '{\"Filters\": []}'"),
    ],
)
def test_a_mapping_that_loses_messages_is_told(examined: Make, changed: Any, says: str, mends: str) -> None:
    verdict = with_mapping(examined(), "Enabled", **changed)
    assert verdict.state is State.BROKEN
    assert says in verdict.found
    (line,) = aws_lines(verdict.mend)
    assert line.startswith(f"aws lambda update-event-source-mapping --uuid 1 {mends}")


@pytest.mark.parametrize("state", ["Disabled", "Disabling"])
def test_a_mapping_is_disabled_on_purpose_while_calls_are_paused_and_for_a_minute_after(
    examined: Make, made: StackInMoto, state: str
) -> None:
    assert with_mapping(examined(), state).state is State.BROKEN
    made.open(OpenedBy.ACCOUNT, "401: wrong key", 900)
    made.notebook.note_intake(disabled=True)
    paused = with_mapping(examined(), state)
    assert (paused.state, "401: wrong key" in paused.found) == (State.WARNING, True)
    made.clock.now += 901
    assert "a pause that is over" in with_mapping(examined(), state).found


def test_a_mapping_that_is_gone_is_made_again(examined: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    examination = examined(MaximumConcurrency="7", BatchSize="5")
    verdict = reception.uploads_mapping(examination)
    assert verdict.state is State.BROKEN
    (line,) = aws_lines(verdict.mend)
    assert "--batch-size 5 --scaling-config MaximumConcurrency=7 --function-response-types ReportBatchItem" in line
