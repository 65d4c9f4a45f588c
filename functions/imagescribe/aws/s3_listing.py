"""The bucket as a whole: pages of its listing, and single objects as a listing would tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import error_code
from imagescribe.model.listing import Listed
from imagescribe.model.times import iso_utc

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PAGE: Final = 1_000
"""Keys in one answer: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html"""

_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed"})


def list_page(client: S3Client, bucket: str, prefix: str, after: str) -> tuple[list[Listed], bool]:
    """Return a page of objects in the order of their keys, and whether there are more.

    Parameters
    ----------
    after
        The key that the page comes right after. It says as much as a continuation token, and never expires.
    """
    start: dict[str, Any] = {"StartAfter": after} if after else {}
    answer = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=PAGE, **start)
    return [_listed(each["Key"], each["Size"], each) for each in answer.get("Contents", [])], answer["IsTruncated"]


def look(client: S3Client, bucket: str, key: str) -> Listed | None:
    """Return an object as it is at this moment, with its version; None where there is none, or a delete marker.

    Nothing but its key where S3 says no more of it, as with SSE-C.
    """
    try:
        answer = client.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error_code(error) in _MISSING:
            return None
        if error_code(error) == "400":
            return Listed(key, "", -1, "")
        raise
    return _listed(key, answer["ContentLength"], answer)


def is_versioned(client: S3Client, bucket: str) -> bool:
    """Say whether the bucket's objects have versions, which a listing does not tell of."""
    return "Status" in client.get_bucket_versioning(Bucket=bucket)


def _listed(key: str, size: int, facts: Mapping[str, Any]) -> Listed:
    version_id = facts.get("VersionId")
    return Listed(
        key=key,
        etag=facts["ETag"].strip('"'),
        size=size,
        modified_at=iso_utc(facts["LastModified"].timestamp()),
        version_id=version_id if version_id and version_id != "null" else None,
        storage_class=facts.get("StorageClass", "STANDARD"),
    )
