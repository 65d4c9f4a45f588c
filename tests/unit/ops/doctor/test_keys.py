"""Customer managed keys: whether they can be used, and by those who need them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from imagescribe_ops.doctor import keys
from imagescribe_ops.doctor.findings import State
from tests.aws_cli import aws_lines, run_aws
from tests.unit.ops.doctor.conftest import Make
from tests.unit.stack_in_moto import StackInMoto

ACCOUNT = "123456789012"
IAM_DECIDES = {
    "Effect": "Allow",
    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
    "Action": "kms:*",
    "Resource": "*",
}
EVENTBRIDGE = {
    "Effect": "Allow",
    "Principal": {"Service": "events.amazonaws.com"},
    "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
    "Resource": "*",
}


@pytest.fixture
def kms(aws: boto3.Session) -> Any:
    client: Any = aws.client("kms")
    return client


def make_key(kms: Any, *statements: dict[str, Any]) -> str:
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements or [IAM_DECIDES, EVENTBRIDGE]})
    return str(kms.create_key(Policy=policy)["KeyMetadata"]["Arn"])


@pytest.mark.parametrize("parameter", ["KmsKeyArn", "BucketKmsKeyArn"])
def test_a_key_that_can_be_used_is_well(examined: Make, kms: Any, parameter: str) -> None:
    verdict = keys.kms_keys(examined(**{parameter: make_key(kms)}))
    assert verdict.state is State.WELL
    assert verdict.found.startswith(parameter)


@pytest.mark.parametrize("parameter", ["KmsKeyArn", "BucketKmsKeyArn"])
def test_a_disabled_key_is_enabled(examined: Make, kms: Any, aws: boto3.Session, parameter: str) -> None:
    arn = make_key(kms)
    kms.disable_key(KeyId=arn.rpartition("/")[2])
    verdict = keys.kms_keys(examined(**{parameter: arn}))
    assert (verdict.state, "is disabled" in verdict.found) == (State.BROKEN, True)
    run_aws(aws, aws_lines(verdict.mend)[0])
    assert keys.kms_keys(examined(**{parameter: arn})).state is State.WELL


def test_a_key_that_is_about_to_be_deleted_is_kept(examined: Make, kms: Any, aws: boto3.Session) -> None:
    arn = make_key(kms)
    kms.schedule_key_deletion(KeyId=arn.rpartition("/")[2])
    verdict = keys.kms_keys(examined(KmsKeyArn=arn))
    assert (verdict.state, "about to be deleted" in verdict.found) == (State.BROKEN, True)
    for line in aws_lines(verdict.mend):
        run_aws(aws, line)
    assert keys.kms_keys(examined(KmsKeyArn=arn)).state is State.WELL


def test_a_key_that_is_not_there_or_of_another_region_is_told(examined: Make) -> None:
    gone = f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555"
    assert "There is no key" in keys.kms_keys(examined(KmsKeyArn=gone)).found
    elsewhere = gone.replace("eu-central-1", "eu-west-1")
    assert "is a key of eu-west-1" in keys.kms_keys(examined(KmsKeyArn=elsewhere)).found


def test_a_key_that_eventbridge_may_not_use_is_opened_to_it(examined: Make, kms: Any, aws: boto3.Session) -> None:
    arn = make_key(kms, IAM_DECIDES)
    verdict = keys.kms_keys(examined(KmsKeyArn=arn))
    assert (verdict.state, "EventBridge" in verdict.found) == (State.BROKEN, True)
    run_aws(aws, aws_lines(verdict.mend)[0])
    assert keys.kms_keys(examined(KmsKeyArn=arn)).state is State.WELL
    assert json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])["Statement"][0] == IAM_DECIDES


def test_a_key_that_only_somebody_else_may_use_is_a_warning(examined: Make, kms: Any) -> None:
    own = IAM_DECIDES | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/ann"}}
    verdict = keys.kms_keys(examined(BucketKmsKeyArn=make_key(kms, own)))
    assert verdict.state is State.WARNING
    role = IAM_DECIDES | {"Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/describe-role"}}
    assert keys.kms_keys(examined(BucketKmsKeyArn=make_key(kms, own, role))).state is State.WELL


# ── The bucket's own encryption ──────────────────────────────────────────────────────────────────────────────────────


def encrypt(made: StackInMoto, key: str) -> None:
    rule: Any = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}}
    made.s3.put_bucket_encryption(Bucket=made.bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})


@pytest.mark.parametrize("written", ["arn", "id"])
def test_a_bucket_with_a_key_that_the_stack_was_not_given_is_told(
    examined: Make, made: StackInMoto, kms: Any, written: str
) -> None:
    arn = make_key(kms)
    encrypt(made, arn if written == "arn" else arn.rpartition("/")[2])
    verdict = keys.kms_keys(examined())
    assert verdict.state is State.BROKEN
    assert f"BucketKmsKeyArn={arn}" in verdict.mend
    assert keys.kms_keys(examined(BucketKmsKeyArn=arn)).state is State.WELL


def test_a_bucket_with_a_key_that_is_gone_is_told(examined: Make, made: StackInMoto) -> None:
    encrypt(made, f"arn:aws:kms:eu-central-1:{ACCOUNT}:key/11111111-2222-3333-4444-555555555555")
    assert "by a key that is not there" in keys.kms_keys(examined()).found


def test_a_bucket_with_a_key_of_awss_is_well(examined: Make, made: StackInMoto) -> None:
    encrypt(made, "arn:aws:kms:eu-central-1:123456789012:alias/aws/s3")
    assert keys.kms_keys(examined()).state is State.WELL
