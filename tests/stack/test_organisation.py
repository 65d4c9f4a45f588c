"""What an organisation asks for first: a key of its own, bounded roles, traces, no tags, and no metadata that leaves.

The emulator takes a table's key and a role's boundary from a template without a word and forgets them: that the
template names them is for the unit tests to see.
"""

from __future__ import annotations

import json
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from imagescribe_ops.doctor import keys
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import State
from tests.aws_cli import aws_lines, run_aws
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, iam_client, session_of
from tests.stack.pictures import picture
from tests.unit.imaging.test_pictures import SAMPLES

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Organised:
    """A stack with all of it, in an account that asks for it."""

    def __init__(self, stacks: Stacks) -> None:
        cloud = stacks.cloud
        self.session = session_of(cloud)
        self.url = cloud.endpoint_url
        self.key: str = self.client("kms").create_key()["KeyMetadata"]["Arn"]
        self.iam = iam_client(cloud)
        self.boundary = self.iam.create_policy(PolicyName="boundary", PolicyDocument=json.dumps(EVERYTHING))["Policy"][
            "Arn"
        ]
        self.deployment = stacks.deploy(
            "organised",
            KmsKeyArn=self.key,
            PermissionsBoundaryArn=self.boundary,
            Tracing="true",
            WriteTags="false",
            Renditions="always",
        )

    def client(self, service: str) -> Any:
        return self.session.client(service, endpoint_url=self.url)  # type: ignore[call-overload]

    def names(self, kind: str) -> list[str]:
        """The physical ids of the stack's resources of one type."""
        found = self.client("cloudformation").describe_stack_resources(StackName=self.deployment.stack.name)
        return [each["PhysicalResourceId"] for each in found["StackResources"] if each["ResourceType"] == kind]


@pytest.fixture(scope="module")
def organised(stacks: Stacks) -> Organised:
    return Organised(stacks)


def test_an_image_is_described_and_gets_no_tag(organised: Organised) -> None:
    deployment: Deployment = organised.deployment
    deployment.put("untagged.png", picture(), "album=holiday")
    record = deployment.until_described("untagged.png")["untagged.png"]
    assert record["tags"] == "off"
    assert record["prompt"]
    assert deployment.tags("untagged.png") == {"album": "holiday"}


def test_nothing_that_a_picture_says_of_a_place_or_a_person_leaves_the_bucket(organised: Organised) -> None:
    deployment: Deployment = organised.deployment
    content = (SAMPLES / "turned.jpg").read_bytes()
    assert b"Secret" in content
    upload = deployment.put("a street and a name.jpg", content)
    record = deployment.until_described(upload.key)[upload.key]
    assert record["rendered_from"] == "jpeg"
    # What the endpoint fetched, by the digest that it kept, is this and nothing else.
    jpeg = deployment.rendition(upload)
    (call,) = deployment.calls_of_rendition(upload)
    assert call.sha256 == sha256(jpeg).hexdigest()
    assert deployment.calls(upload.key) == []
    assert b"Secret" not in jpeg
    assert not Image.open(BytesIO(jpeg)).getexif()


def test_no_role_may_write_a_tag_where_none_is_written(organised: Organised) -> None:
    for role in organised.names("AWS::IAM::Role"):
        for policy in organised.iam.list_role_policies(RoleName=role)["PolicyNames"]:
            document = organised.iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]
            assert "Tagging" not in json.dumps(document)


def test_queues_logs_and_the_secret_are_encrypted_by_the_own_key(organised: Organised) -> None:
    sqs = organised.client("sqs")
    queues = organised.names("AWS::SQS::Queue")
    assert len(queues) == 3
    for queue in queues:
        attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
        assert attributes["KmsMasterKeyId"] == organised.key
    (secret,) = organised.names("AWS::SecretsManager::Secret")
    assert organised.client("secretsmanager").describe_secret(SecretId=secret)["KmsKeyId"] == organised.key
    for name in organised.names("AWS::Logs::LogGroup"):
        (group,) = organised.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        assert group["kmsKeyId"] == organised.key


def test_every_function_is_traced(organised: Organised) -> None:
    functions = organised.names("AWS::Lambda::Function")
    assert len(functions) == 6
    for function in functions:
        configuration = organised.deployment.lambda_functions.get_function_configuration(FunctionName=function)
        assert configuration["TracingConfig"] == {"Mode": "Active"}


def test_the_doctor_sees_the_own_key_and_has_it_enabled_and_opened(organised: Organised) -> None:
    stack = organised.deployment.stack
    examination = Examination(stack.connection, stack.name)
    kms = organised.client("kms")
    # The policy of a new key lets IAM decide, and EventBridge is no user of IAM.
    closed = keys.kms_keys(examination)
    assert (closed.state, "EventBridge" in closed.found) == (State.BROKEN, True)
    kms.disable_key(KeyId=organised.key)
    disabled = keys.kms_keys(examination)
    assert (disabled.state, "is disabled" in disabled.found) == (State.BROKEN, True)
    for verdict in (disabled, closed):
        (line,) = aws_lines(verdict.mend)
        run_aws(organised.session, line, organised.url)
    assert keys.kms_keys(examination).state is State.WELL
