"""Pictures that are in a bucket before a stack is attached to it, as a backfill finds them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from imagescribe_ops.local.pictures import Picture
from imagescribe_ops.uploads import upload_all

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def bucket_with(s3: S3Client, pictures: Sequence[Picture]) -> str:
    """Put pictures into a new bucket that nobody listens to yet, and return its name.

    It tells EventBridge of its objects, as an existing bucket has to: what comes once there is a stack is described.
    """
    bucket = f"pictures-{secrets.token_hex(6)}"
    s3.create_bucket(Bucket=bucket)
    for _ in upload_all(s3, bucket, pictures, {}):
        pass
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})
    return bucket
