"""The gallery shows pictures, and nothing that a browser would run."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws
from PIL import Image

from imagescribe_ops.errors import NotFoundError
from imagescribe_ops.gallery import pictures
from imagescribe_ops.gallery.pictures import NoPreviewError, Pictures, Stored

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client


@pytest.fixture
def s3() -> Iterator[S3Client]:
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="pictures")
        client.create_bucket(Bucket="derived")
        yield client


def encoded(kind: str, size: tuple[int, int] = (1600, 900)) -> bytes:
    content = BytesIO()
    Image.new("RGB", size, "tomato").save(content, kind)
    return content.getvalue()


def stored(s3: S3Client, content: bytes, etag: str = "e") -> Stored:
    s3.put_object(Bucket="pictures", Key="one", Body=content, ContentType="text/html")
    return Stored("pictures", "one", "", etag, len(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_a_picture_is_sent_as_what_its_bytes_are_and_its_thumbnail_is_a_small_webp(s3: S3Client, kind: str) -> None:
    content = encoded(kind)
    image = stored(s3, content)
    opened = Pictures(s3, "derived").open(image)
    assert opened.content_type == f"image/{kind.lower()}"
    assert b"".join(opened.chunks) == content
    with Image.open(BytesIO(Pictures(s3, "derived").thumbnail(image))) as thumbnail:
        assert (thumbnail.format, thumbnail.size) == ("WEBP", (512, 288))


@pytest.mark.parametrize("content", [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"<script>1</script>", b""])
def test_what_a_browser_would_run_is_never_sent(s3: S3Client, content: bytes) -> None:
    with pytest.raises(NoPreviewError):
        Pictures(s3, "derived").open(stored(s3, content))


def test_what_no_browser_shows_is_shown_as_the_jpeg_that_was_made_for_the_endpoint(s3: S3Client) -> None:
    image = stored(s3, encoded("TIFF", (64, 64)))
    s3.put_object(Bucket="derived", Key=f"renditions/e-{image.size}", Body=encoded("JPEG"))
    assert Pictures(s3, "derived").open(image).content_type == "image/jpeg"


def test_the_stacks_thumbnail_is_taken_and_where_the_stack_can_not_one_is_made_here(s3: S3Client) -> None:
    image = stored(s3, encoded("JPEG"))
    asked: list[Stored] = []

    def of_stack(image: Stored) -> bytes:
        asked.append(image)
        return b"the stack's"

    shown = Pictures(s3, "derived", of_stack)
    assert [shown.thumbnail(image) for _ in range(2)] == [b"the stack's"] * 2
    assert asked == [image]
    assert Pictures(s3, "derived", lambda _: None).thumbnail(image).startswith(b"RIFF")


def test_where_the_stack_says_that_there_can_be_no_thumbnail_none_is_tried_here(s3: S3Client) -> None:
    def of_stack(_: Stored) -> bytes:
        raise NoPreviewError("There is none.", "Look elsewhere.")

    with pytest.raises(NoPreviewError, match="There is none"):
        Pictures(s3, "derived", of_stack).thumbnail(stored(s3, encoded("JPEG")))


def test_a_picture_that_is_gone_says_so(s3: S3Client) -> None:
    with pytest.raises(NotFoundError, match="not in the bucket"):
        Pictures(s3, "derived").open(Stored("pictures", "gone", "", "e", 1))


def test_a_picture_with_too_many_pixels_or_half_of_its_bytes_has_no_thumbnail(
    s3: S3Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = encoded("PNG")
    with pytest.raises(NoPreviewError, match="decoded"):
        Pictures(s3, "derived").thumbnail(stored(s3, content[: len(content) // 2]))
    monkeypatch.setattr(pictures, "MAX_PIXELS", 1_000)
    with pytest.raises(NoPreviewError, match="pixels"):
        Pictures(s3, "derived").thumbnail(stored(s3, content))


def test_thumbnails_are_kept_up_to_their_bytes(s3: S3Client, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Pictures(s3, "derived")
    image = stored(s3, encoded("JPEG"))
    thumbnail = shown.thumbnail(image)
    s3.delete_object(Bucket="pictures", Key="one")
    assert shown.thumbnail(image) == thumbnail
    monkeypatch.setattr(pictures, "CACHE_BYTES", 0)
    forgetful = Pictures(s3, "derived")
    image = stored(s3, encoded("JPEG"))
    forgetful.thumbnail(image)
    s3.delete_object(Bucket="pictures", Key="one")
    with pytest.raises(NotFoundError):
        forgetful.thumbnail(image)
