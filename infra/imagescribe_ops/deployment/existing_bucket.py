"""What can be wrong with a bucket that exists already, seen before a stack is put on it."""

from __future__ import annotations

from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.errors import NotFoundError, OperationError


def check_bucket(connection: Connection, bucket: str) -> str:
    """Look whether a bucket can be described; return a sentence on what its owner has to do, or nothing.

    Raises
    ------
    OperationError
        It does not exist, is in another region, or is somebody else's.
    """
    s3 = connection.s3()
    with readable_errors():
        try:
            region = s3.head_bucket(Bucket=bucket).get("BucketRegion", "")
        except ClientError as error:
            raise _of_head(error, bucket, connection.region) from error
    if region and region != connection.region:
        raise _elsewhere(bucket, region, connection.region)
    with readable_errors():
        try:
            tells = "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
        except ClientError:
            return ""  # whoever deploys need not be allowed to see that
    if tells:
        return ""
    return (
        f"The bucket {bucket} tells EventBridge nothing yet, so nothing would be described: turn Amazon EventBridge on "
        "in its properties (S3 console, Properties, Event notifications)."
    )


def _of_head(error: ClientError, bucket: str, region: str | None) -> Exception:
    # A HEAD has no body, so the code is the status: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    answer = error.response.get("ResponseMetadata", {})
    match answer.get("HTTPStatusCode"):
        case 404:
            return NotFoundError(
                f"There is no bucket {bucket}.", "Correct ExistingBucketName, or leave it empty for a new bucket."
            )
        case 301 | 400 | 403 if there := answer.get("HTTPHeaders", {}).get("x-amz-bucket-region"):
            if there != region:
                return _elsewhere(bucket, there, region)
    if answer.get("HTTPStatusCode") == 403:
        return OperationError(
            f"The bucket {bucket} can't be looked at: it belongs to another account, or the credentials may not "
            "s3:ListBucket.",
            "Deploy with the credentials of its owner.",
        )
    return error


def _elsewhere(bucket: str, there: str, here: str | None) -> OperationError:
    return OperationError(
        f"The bucket {bucket} is in {there}, and the stack would be in {here}.",
        f"A stack describes a bucket of its own region: add --region {there}.",
    )
