"""The pictures themselves: a URL that reads one, for a few minutes. It is a secret while it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagescribe.aws.s3 import URL_LIFE_SECONDS, presigned_url

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from imagescribe.query.records import ImageRecord


class Pictures:
    """The bucket's pictures."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def url(self, record: ImageRecord) -> tuple[str, int]:
        """Return a URL of the picture that a record tells of, and how many seconds it lives."""
        version = {"VersionId": record.version_id} if record.version_id else {}
        return presigned_url(self._client, Bucket=record.bucket, Key=record.key, **version), URL_LIFE_SECONDS
