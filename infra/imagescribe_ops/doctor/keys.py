"""The customer managed KMS keys, where there are any."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from botocore.exceptions import ClientError

from imagescribe_ops.doctor import policies
from imagescribe_ops.doctor.examination import DEPLOY, Examination, is_gone
from imagescribe_ops.doctor.findings import Verdict, broken, warning, well
from imagescribe_ops.doctor.policies import Answer, Request
from imagescribe_ops.doctor.reception import EVENTS

PARAMETERS: Final = ("KmsKeyArn", "BucketKmsKeyArn")


def kms_keys(examination: Examination) -> Verdict:
    """Whether the keys are enabled, and let in whom the stack needs."""
    given = {name: arn for name in PARAMETERS if (arn := examination.parameters.get(name, ""))}
    kms = examination.client("kms")
    if verdict := _of_the_bucket(examination, kms, given.get("BucketKmsKeyArn", "")):
        return verdict
    if not given:
        return well("none of your own is set; AWS's are used")
    for name, arn in given.items():
        for verdict in _problems(examination, kms, name, arn):
            return verdict
    return well(f"{' and '.join(given)}: enabled, and open to those who need it")


def _of_the_bucket(examination: Examination, kms: Any, given: str) -> Verdict | None:
    """Tell whether the bucket encrypts by a key that the functions may not use; None where all is well."""
    name = examination.outputs.bucket_name
    try:
        answer: Any = examination.s3.get_bucket_encryption(Bucket=name)
    except ClientError as error:
        if is_gone(error) or error.response["Error"].get("Code") == "ServerSideEncryptionConfigurationNotFoundError":
            return None
        raise
    for rule in answer["ServerSideEncryptionConfiguration"]["Rules"]:
        key = rule.get("ApplyServerSideEncryptionByDefault", {}).get("KMSMasterKeyID", "")
        if not key or key.endswith("alias/aws/s3") or key == given:
            continue
        try:
            found = kms.describe_key(KeyId=key)["KeyMetadata"]
        except ClientError as error:
            if not is_gone(error):
                raise
            return broken(f"{name} encrypts its objects by a key that is not there: {key}", "Give the bucket another.")
        if found["Arn"] != given and found.get("KeyManager") != "AWS":
            return broken(
                f"{name} encrypts its objects by {found['Arn']}, which the functions may not use.",
                f"Give it as BucketKmsKeyArn: `imagescribe deploy --parameter BucketKmsKeyArn={found['Arn']}`",
            )
    return None


def _problems(examination: Examination, kms: Any, parameter: str, arn: str) -> Iterator[Verdict]:
    key, region = arn.rpartition("/")[2], arn.split(":")[3]
    if region != examination.region:
        yield broken(
            f"{parameter} is a key of {region}, and the stack is in {examination.region}.",
            f"Give a key of {examination.region}, and {DEPLOY}.",
        )
        return  # it can't be asked for here
    try:
        state = kms.describe_key(KeyId=arn)["KeyMetadata"]["KeyState"]
    except ClientError as error:
        if not is_gone(error):
            raise
        yield broken(f"There is no key {arn} ({parameter}).", f"Give another {parameter}, and {DEPLOY}.")
        return
    enable = examination.aws("kms", "enable-key", "--key-id", key)
    if state == "Disabled":
        yield broken(f"The key of {parameter} is disabled: what it encrypts can't be read.", f"Enable it: {enable}")
    elif state == "PendingDeletion":
        keep = examination.aws("kms", "cancel-key-deletion", "--key-id", key)
        yield broken(
            f"The key of {parameter} is about to be deleted, and with it all that it encrypts.",
            f"Keep it: {keep}, then {enable}",
        )
    elif state != "Enabled":
        yield broken(f"The key of {parameter} can't be used: {state}.", "See it in KMS's console.")
    else:
        yield from _closed_doors(examination, kms, parameter, arn)


def _closed_doors(examination: Examination, kms: Any, parameter: str, arn: str) -> Iterator[Verdict]:
    key = arn.rpartition("/")[2]
    policy: dict[str, Any] = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    if parameter == "KmsKeyArn":
        context = {"aws:sourceaccount": examination.account, "aws:principalisawsservice": "true"}
        answers = [policies.ask(policy, Request([EVENTS], action, arn, context)) for action in _EVENTS_ACTIONS]
        if Answer.SILENT in answers or Answer.DENIED in answers:
            statement = {
                "Sid": "EventBridge",
                "Effect": "Allow",
                "Principal": {"Service": EVENTS},
                "Action": list(_EVENTS_ACTIONS),
                "Resource": "*",
            }
            open_to = json.dumps(policy | {"Statement": [*policy["Statement"], statement]})
            put = ["kms", "put-key-policy", "--key-id", key, "--policy-name", "default", "--policy", open_to]
            yield broken(
                "The key's policy does not let EventBridge in: no upload can be put on the queue.",
                f"Let it in: {examination.aws(*put)}",
            )
            return
    role = examination.role_arn("DescribeRole")
    account = f"arn:{examination.partition}:iam::{examination.account}:root"
    answer = policies.ask(policy, Request([role, account, examination.account], "kms:Decrypt", arn, {}))
    if answer in (Answer.SILENT, Answer.DENIED):
        yield warning(
            f"The policy of the key of {parameter} lets neither IAM decide in this account nor the describe function's "
            "role in.",
            f"Let {role} use it in the key's policy: kms:Decrypt and kms:GenerateDataKey.",
        )


_EVENTS_ACTIONS: Final = ("kms:Decrypt", "kms:GenerateDataKey")
