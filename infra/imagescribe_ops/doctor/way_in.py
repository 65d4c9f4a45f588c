"""The way from the bucket to the queue: the bucket, its events, and the rule that takes them to the queue."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from imagescribe_ops.doctor.examination import DEPLOY, Examination, is_gone
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, well
from imagescribe_ops.stack import readable_errors


def bucket(examination: Examination) -> Verdict:
    """Whether the bucket is there, and in the stack's region, as EventBridge hears of no other."""
    name, region = examination.outputs.bucket_name, examination.region
    with readable_errors():
        try:
            head: Any = examination.s3.head_bucket(Bucket=name, ExpectedBucketOwner=examination.account)
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
            f"Deploy a stack in {found}: `sam deploy --guided --region {found}`.",
        )
    return well(f"s3://{name} in {region}")


def bucket_events(examination: Examination) -> Verdict:
    """Whether the bucket tells EventBridge of its objects."""
    name = examination.outputs.bucket_name
    with readable_errors():
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


def rule(examination: Examination) -> Verdict:
    """Whether the rule is there and enabled."""
    name = examination.resource("UploadRule")
    state = _rule(examination)["State"]
    if state == "DISABLED":
        enable = examination.aws("events", "enable-rule", "--name", name)
        return broken(f"The rule {name} is disabled: no upload reaches the queue.", f"Enable it: {enable}")
    return well(f"{name} is enabled")


def _rule(examination: Examination) -> Any:
    name = examination.resource("UploadRule")
    with readable_errors():
        try:
            return examination.events.describe_rule(Name=name)
        except ClientError as error:
            if not is_gone(error):
                raise
            raise NotCheckedError(f"There is no rule {name}.") from error
