"""The way from the bucket to the queue: the bucket, its events, and the rule that takes them to the queue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe_ops.doctor.examination import DEPLOY, Examination, is_gone
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, warning, well
from imagescribe_ops.doctor.permissions import missing_permission

if TYPE_CHECKING:
    from mypy_boto3_events.type_defs import DescribeRuleResponseTypeDef

TARGET_ID: Final = "UploadQueue"


# ── The bucket ───────────────────────────────────────────────────────────────────────────────────────────────────────


def bucket(examination: Examination) -> Verdict:
    """Whether the bucket is there, and in the stack's region, as EventBridge hears of no other."""
    name, region = examination.outputs.bucket_name, examination.region
    try:
        head: Any = examination.s3.head_bucket(Bucket=name)
    except ClientError as error:
        if not is_gone(error):
            raise
        make = ["s3api", "create-bucket", "--bucket", name]
        if region != "us-east-1":
            make += ["--create-bucket-configuration", f"LocationConstraint={region}"]
        return broken(
            f"There is no bucket {name}.",
            f"Make it with {examination.aws(*make)}, or {DEPLOY} with another ExistingBucketName.",
        )
    found = head.get("BucketRegion") or head["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", region)
    if found != region:
        return broken(
            f"{name} is in {found}, and the stack in {region}: it hears of no upload there.",
            f"Deploy a stack in {found}: `imagescribe deploy --guided`, with --region {found}.",
        )
    return well(f"s3://{name} in {region}")


def bucket_events(examination: Examination) -> Verdict:
    """Whether the bucket tells EventBridge of its objects."""
    name = examination.outputs.bucket_name
    answer: dict[str, Any] = dict(examination.s3.get_bucket_notification_configuration(Bucket=name))
    if "EventBridgeConfiguration" in answer:
        return well("EventBridge is told of objects")
    answer.pop("ResponseMetadata", None)
    told = json.dumps({**answer, "EventBridgeConfiguration": {}})  # it replaces them all
    put = ["s3api", "put-bucket-notification-configuration", "--bucket", name, "--notification-configuration", told]
    return broken(
        f"{name} does not tell EventBridge of its objects: no upload is seen.",
        f"Turn it on (the bucket's other notifications stay): {examination.aws(*put)}",
    )


# ── The rule ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def rule(examination: Examination) -> Verdict:
    """Whether the rule is there and enabled."""
    name = examination.resource("UploadRule")
    found = _describe_rule(examination)
    if found is None:
        return broken(
            f"There is no rule {name}: no upload reaches the queue.",
            f"Make it again: {_put_rule(examination)}, then {_put_targets(examination)}",
        )
    if found.get("State") == "DISABLED":
        enable = examination.aws("events", "enable-rule", "--name", name)
        return broken(f"The rule {name} is disabled: no upload reaches the queue.", f"Enable it: {enable}")
    return well(f"{name} is enabled")


def pattern(examination: Examination) -> Verdict:
    """Whether the rule's pattern matches an upload and a deletion under the stack's prefix, and leaves out none."""
    found = _describe_rule(examination)
    if found is None:
        raise NotCheckedError("There is no rule.")
    text = found.get("EventPattern", "{}")
    key = examination.parameters.get("KeyPrefix", "") + "doctor.png"
    address = f"s3://{examination.outputs.bucket_name}/{key}"
    mend = f"Put the template's pattern back: {_put_rule(examination)}"
    is_own = json.loads(text) == expected_pattern(examination)
    try:
        created, deleted = (_matches(examination, text, kind, key) for kind in ("Object Created", "Object Deleted"))
    except ClientError as error:
        if is_own:
            return well("it is the template's own")  # as good as tried
        if permission := missing_permission(error):
            raise NotCheckedError(
                f"The pattern is not the template's own, and the permission {permission} is missing to try it.", mend
            ) from error
        return broken(f"The rule's pattern can't be read by EventBridge: {text}", mend)
    if not created:
        return broken(f"The rule's pattern does not match an upload to {address}: {text}", mend)
    if not deleted:
        return warning(f"The rule's pattern does not match a deletion of {address}: records stay behind. {text}", mend)
    if not is_own:
        return warning(f"The rule's pattern matches an upload to {address}, and may leave out others: {text}", mend)
    return well(f"it matches an upload to {address}")


def target(examination: Examination) -> Verdict:
    """Whether what the rule takes goes to the upload queue, and what can't be delivered to the dead letters."""
    name, queue = examination.resource("UploadRule"), examination.queue_arn(examination.outputs.upload_queue_url)
    try:
        targets = examination.events.list_targets_by_rule(Rule=name)["Targets"]
    except ClientError as error:
        if not is_gone(error):
            raise
        targets = []
    if not targets and _describe_rule(examination) is None:
        raise NotCheckedError("There is no rule.")
    mine = [each for each in targets if each["Arn"] == queue]
    mend = f"Set it: {_put_targets(examination)}"
    if not mine:
        others = ", ".join(each["Arn"] for each in targets) or "none"
        return broken(f"The upload queue is not a target of the rule {name} (there is {others}).", mend)
    if any("InputPath" in each or "InputTransformer" in each or "Input" in each for each in mine):
        return broken(f"The rule {name} sends the upload queue something else than the event.", mend)
    if not any("DeadLetterConfig" in each for each in mine):
        return warning(f"What the rule {name} can't deliver is lost: its target has no dead-letter queue.", mend)
    return well("the upload queue")


def expected_pattern(examination: Examination) -> dict[str, Any]:
    """Return the pattern as the template makes it."""
    detail: dict[str, Any] = {"bucket": {"name": [examination.outputs.bucket_name]}}
    if prefix := examination.parameters.get("KeyPrefix", ""):
        detail["object"] = {"key": [{"prefix": prefix}]}
    return {
        "source": ["aws.s3"],
        "account": [examination.account],
        "detail-type": ["Object Created", "Object Deleted"],
        "detail": detail,
    }


def _matches(examination: Examination, text: str, kind: str, key: str) -> bool:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    name = examination.outputs.bucket_name
    event = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": examination.account,
        "time": "2026-01-01T00:00:00Z",
        "region": examination.region,
        "resources": [f"arn:{examination.partition}:s3:::{name}"],
        "detail": {
            "version": "0",
            "bucket": {"name": name},
            "object": {
                "key": key,
                "size": 5,
                "etag": "b57f9512698f4b09e608f4f2a65852e5",
                "sequencer": "00617F08299329D18",
            },
            "requester": examination.account,
            "reason": "PutObject" if kind == "Object Created" else "DeleteObject",
        },
    }
    return examination.events.test_event_pattern(EventPattern=text, Event=json.dumps(event))["Result"]


def _describe_rule(examination: Examination) -> DescribeRuleResponseTypeDef | None:
    try:
        return examination.events.describe_rule(Name=examination.resource("UploadRule"))
    except ClientError as error:
        if not is_gone(error):
            raise
        return None


def _put_rule(examination: Examination) -> str:
    name, wanted = examination.resource("UploadRule"), json.dumps(expected_pattern(examination))
    return examination.aws("events", "put-rule", "--name", name, "--event-pattern", wanted, "--state", "ENABLED")


def _put_targets(examination: Examination) -> str:
    outputs = examination.outputs
    wanted = {
        "Id": TARGET_ID,
        "Arn": examination.queue_arn(outputs.upload_queue_url),
        "DeadLetterConfig": {"Arn": examination.queue_arn(outputs.dead_letter_queue_url)},
    }
    name = examination.resource("UploadRule")
    return examination.aws("events", "put-targets", "--rule", name, "--targets", json.dumps([wanted]))
