"""The pictures themselves: a URL that reads one, for a few minutes. It is a secret while it lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.imaging import CLIENT_CONFIG, ImagingError, Unfit, thumbnail_key
from imagescribe.aws.s3 import URL_LIFE_SECONDS, error_code, presigned_url
from imagescribe.log import logger
from imagescribe.model.record import Status
from imagescribe.query.errors import BusyError, NotFoundError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from imagescribe.aws.imaging import Imaging
    from imagescribe.query.records import ImageRecord

# The query function has 29 s. An invocation that takes longer goes on, and whoever asks again finds its thumbnail.
IMAGING_CONFIG: Final = CLIENT_CONFIG.merge(Config(read_timeout=20))

_NOT_THERE: Final = frozenset({"403", "404"})
"""S3 tells nobody who may not list a bucket that an object is missing."""


class Pictures:
    """The bucket's pictures, and their thumbnails, which the imaging function makes when one is first asked for."""

    def __init__(self, client: S3Client, imaging: Imaging, derived_bucket: str) -> None:
        self._client = client
        self._imaging = imaging
        self._derived_bucket = derived_bucket

    def url(self, record: ImageRecord) -> tuple[str, int]:
        """Return a URL of the picture that a record tells of, and how many seconds it lives."""
        version = {"VersionId": record.version_id} if record.version_id else {}
        return presigned_url(self._client, Bucket=record.bucket, Key=record.key, **version), URL_LIFE_SECONDS

    def thumbnail_url(self, record: ImageRecord) -> tuple[str, int]:
        """Return a URL of the thumbnail of the picture that a record tells of, and how many seconds it lives.

        Raises
        ------
        NotFoundError
            There can be none: it is no picture, or the object is not the record's any more.
        BusyError
            It could not be made now.
        """
        if record.status == Status.SKIPPED:  # each try would cost as much as the one before, and find no more
            raise _no_thumbnail(record, record.error)
        key = thumbnail_key(record)
        if not self._is_there(key):
            self._make(record)
        return presigned_url(self._client, Bucket=self._derived_bucket, Key=key), URL_LIFE_SECONDS

    def sources(self, bucket: str) -> list[str]:
        """Return where the URLs of a bucket's pictures and of thumbnails lead, as a Content-Security-Policy says it."""
        urls = [presigned_url(self._client, Bucket=each, Key="x") for each in (bucket, self._derived_bucket)]
        return [url.partition("?")[0].removesuffix("x") for url in urls]

    def _is_there(self, key: str) -> bool:
        try:
            self._client.head_object(Bucket=self._derived_bucket, Key=key)
        except ClientError as error:
            if error_code(error) in _NOT_THERE:
                return False
            raise
        return True

    def _make(self, record: ImageRecord) -> None:
        try:
            made = self._imaging.thumbnail(record)
        except (ImagingError, ClientError, BotoCoreError) as error:
            logger.warning("no thumbnail was made", extra={"image": record.image, "error": str(error)})
            raise BusyError(
                "The thumbnail could not be made now.", "Ask again in a minute; without size you get the picture."
            ) from error
        if isinstance(made, Unfit):
            raise _no_thumbnail(record, made.reason)


def _no_thumbnail(record: ImageRecord, reason: str) -> NotFoundError:
    return NotFoundError(
        f"There is no thumbnail of {record.image}: {reason}.", "Without size you get the object as it is."
    )
