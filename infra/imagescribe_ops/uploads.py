"""Uploading files from here, as any other S3 client would."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.local.pictures import Picture

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file that is in the bucket now; its address is ``s3://bucket/key``."""

    picture: Picture
    image: str
    etag: str


def upload(s3: S3Client, bucket: str, picture: Picture, tags: Mapping[str, str] | None = None) -> Uploaded:
    """Upload one file, in one request: an object in parts has another ETag, and its copies would be paid for again."""
    with readable_errors(), picture.path.open("rb") as body:
        answer = s3.put_object(
            Bucket=bucket,
            Key=picture.key,
            Body=body,
            ContentType=picture.content_type,
            Tagging=urlencode({**picture.tags, **(tags or {})}),
        )
    return Uploaded(picture, f"s3://{bucket}/{picture.key}", answer["ETag"].strip('"'))


def upload_all(s3: S3Client, bucket: str, pictures: Sequence[Picture], tags: Mapping[str, str]) -> Iterator[Uploaded]:
    """Upload files side by side, and yield each when it is there. After an error, no other is begun."""
    pool = ThreadPoolExecutor(SIDE_BY_SIDE)
    try:
        for future in as_completed([pool.submit(upload, s3, bucket, picture, tags) for picture in pictures]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
