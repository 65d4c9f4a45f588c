"""What is uploaded goes into a bucket of the account that deploys, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.deployment import package as module
from imagescribe_ops.deployment.package import package
from imagescribe_ops.errors import OperationError
from tests.factories import unique
from tests.unit.conftest import REGION

PACKAGED = "Resources:\n  DescribeFunction:\n    Properties:\n      CodeUri: s3://{}/imagescribe/0123\n"


@pytest.fixture
def bucket(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that `sam package` has put the code into."""
    name = unique("zips")
    s3: Any = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})

    def packaged(_verb: str, options: Mapping[str, Path], *_: object, **__: object) -> None:
        options["--output-template-file"].write_text(PACKAGED.format(name), encoding="utf-8")

    monkeypatch.setattr(module, "sam", packaged)
    return name


def packaged(connection: Connection, directory: Path) -> str:
    return package(Path("template.yaml"), connection, "imagescribe", artifact_bucket=None, directory=directory)


def test_the_template_is_beside_the_code(aws: boto3.Session, bucket: str, tmp_path: Path) -> None:
    key = packaged(Connection(region=REGION), tmp_path).partition(f"/{bucket}/")[2]
    body: Any = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    assert body.read().decode() == PACKAGED.format(bucket)


def test_nothing_is_deployed_out_of_somebody_elses_bucket(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection(region=REGION)
    s3 = connection.s3()

    def of_another_account(**asked: str) -> None:
        if asked.get("ExpectedBucketOwner") == "123456789012":  # whoever asks
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject")

    monkeypatch.setattr(s3, "put_object", of_another_account)
    monkeypatch.setattr(connection, "s3", lambda: s3)
    with pytest.raises(OperationError, match=f"{bucket} is another account's, or") as told:
        packaged(connection, tmp_path)
    assert "--artifact-bucket" in told.value.advice


def test_a_bucket_that_is_not_there_is_told(aws: boto3.Session, bucket: str, tmp_path: Path) -> None:
    aws.client("s3").delete_bucket(Bucket=bucket)
    with pytest.raises(OperationError, match=f"There is no bucket {bucket}"):
        packaged(Connection(region=REGION), tmp_path)
