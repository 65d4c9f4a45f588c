"""Thumbnails by the API: made when one is first asked for, and a reason where there can be none."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ReadTimeoutError
from PIL import Image

from imagescribe.query.errors import BusyError, NotFoundError
from imagescribe.query.pictures import Pictures
from imagescribe.query.records import ImageRecord
from tests.factories import make_picture
from tests.unit.conftest import make_bucket
from tests.unit.imaging_in_process import DERIVED_BUCKET, ImagingInProcess
from tests.unit.query.conftest import make_pictures
from tests.unit.stage import aws_error

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def bucket(s3: S3Client) -> str:
    return make_bucket(s3)


@pytest.fixture
def made(s3: S3Client) -> tuple[Pictures, ImagingInProcess]:
    return make_pictures(s3)


def record(s3: S3Client, bucket: str, content: bytes, key: str = "a b.tiff") -> ImageRecord:
    """The record of an object with this content."""
    etag = s3.put_object(Bucket=bucket, Key=key, Body=content)["ETag"].strip('"')
    texts: dict[str, Any] = {"image": f"s3://{bucket}/{key}", "bucket": bucket, "key": key, "etag": etag}
    return ImageRecord.of_item(
        {name: {"S": value} for name, value in texts.items()} | {"size": {"N": str(len(content))}}
    )


def test_a_thumbnail_is_made_once_whoever_asks(
    s3: S3Client, bucket: str, made: tuple[Pictures, ImagingInProcess]
) -> None:
    pictures, function = made
    image = record(s3, bucket, make_picture("teal", (1600, 900), "TIFF"))
    url, seconds = pictures.thumbnail_url(image)
    assert seconds == 300
    assert DERIVED_BUCKET in url
    key = f"thumbnails/{image.etag}-{image.size}"
    assert urlsplit(url).path.endswith(key)
    with Image.open(BytesIO(s3.get_object(Bucket=DERIVED_BUCKET, Key=key)["Body"].read())) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (512, 288))
    pictures.thumbnail_url(image)
    assert len(function.events) == 1


def test_of_what_is_no_picture_the_reason_is_told(
    s3: S3Client, bucket: str, made: tuple[Pictures, ImagingInProcess]
) -> None:
    with pytest.raises(NotFoundError, match="There is no thumbnail of s3://") as refused:
        made[0].thumbnail_url(record(s3, bucket, b"not a picture"))
    assert "Without size" in refused.value.advice


def test_of_what_was_skipped_no_thumbnail_is_tried_and_the_answer_says_why(
    s3: S3Client, bucket: str, made: tuple[Pictures, ImagingInProcess]
) -> None:
    pictures, function = made
    skipped = replace(record(s3, bucket, b"not a picture"), status="skipped", error="not an image of a known kind")
    for _ in range(2):
        with pytest.raises(NotFoundError, match="not an image of a known kind"):
            pictures.thumbnail_url(skipped)
    assert function.events == []


def test_an_object_that_was_overwritten_since_has_no_thumbnail_under_its_old_content(
    s3: S3Client, bucket: str, made: tuple[Pictures, ImagingInProcess]
) -> None:
    image = record(s3, bucket, make_picture("olive"))
    record(s3, bucket, make_picture("plum"))
    with pytest.raises(NotFoundError, match="overwritten"):
        made[0].thumbnail_url(image)


@pytest.mark.parametrize(
    "failure",
    [
        "signal: killed",
        aws_error("TooManyRequestsException"),
        ReadTimeoutError(endpoint_url="https://lambda"),
    ],
)
def test_a_function_that_fails_or_is_slow_is_asked_again_later(
    s3: S3Client, bucket: str, made: tuple[Pictures, ImagingInProcess], failure: Exception | str
) -> None:
    pictures, function = made
    function.failures.append(failure)
    image = record(s3, bucket, make_picture("navy", (70, len(str(failure)))))
    with pytest.raises(BusyError, match="could not be made now"):
        pictures.thumbnail_url(image)
    assert pictures.thumbnail_url(image)


def test_a_bucket_that_fails_is_not_taken_for_an_empty_one(
    s3: S3Client, bucket: str, made: tuple[Pictures, ImagingInProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, function = made

    def fails(**_: Any) -> None:
        raise aws_error("500")

    monkeypatch.setattr(s3, "head_object", fails)
    with pytest.raises(Exception, match="500"):
        pictures.thumbnail_url(record(s3, bucket, make_picture()))
    assert function.events == []
