"""The bucket as the audit reads it: a listing, single objects as they are at this moment, and their tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import error_code
from imagescribe.aws.s3_listing import list_page, look
from imagescribe.model.listing import Listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


class BucketView:
    """Reads one bucket."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def walk(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects under a prefix in the order of their keys, a page of 1,000 at a time."""
        after, more = "", True
        while more:
            objects, more = list_page(self._client, self._bucket, prefix, after)
            yield from objects
            after = objects[-1].key if objects else after

    def look(self, key: str) -> Listed | None:
        """Return an object as it is at this moment; None where there is none."""
        return look(self._client, self._bucket, key)

    def tags(self, key: str, version_id: str | None) -> dict[str, str]:
        """Return an object's tags.

        Raises
        ------
        LookupError
            There is no such object.
        """
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        try:
            tags = self._client.get_object_tagging(Bucket=self._bucket, Key=key, **version)["TagSet"]
        except ClientError as error:
            if error_code(error) in {"NoSuchKey", "NoSuchVersion", "MethodNotAllowed"}:
                raise LookupError(key) from error
            raise
        return {tag["Key"]: tag["Value"] for tag in tags}
