"""The pictures of a stack's bucket, as a browser can show them: whole, or as thumbnails.

Thumbnails come from the stack, which makes each once, so that no photograph is fetched for the sake of a small picture.
Where the stack can't, they are made here.

What a picture is, its first bytes say. Whatever a browser might run instead of showing (SVG, HTML) is never sent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from PIL import Image, ImageOps

from imagescribe.aws.s3 import HEAD_BYTES, error_code
from imagescribe.model.kinds import image_type
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.errors import NotFoundError, OperationError

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client

THUMBNAIL_SIDE: Final = 512
MAX_THUMBNAIL_SOURCE_BYTES: Final = 50_000_000
MAX_PIXELS: Final = 50_000_000
"""Of a PNG, which is decoded whole: 200 MB."""

CACHE_BYTES: Final = 64_000_000
"""Some two thousand thumbnails."""

_DECODERS: Final = 2
_CHUNK_BYTES: Final = 1 << 18
_SHOWN: Final = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "bmp": "image/bmp",
    "avif": "image/avif",
}
"""What browsers show. Of all else there is the JPEG that was made for the endpoint."""

_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404"})


class NoPreviewError(OperationError):
    """There is an object, and no picture of it to show."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The object that a record tells of.

    Attributes
    ----------
    version_id
        Empty where the bucket has no versions.
    """

    bucket: str
    key: str
    version_id: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture that is being read."""

    content_type: str
    size: int
    chunks: Iterator[bytes]


class Pictures:
    """Reads pictures with the user's own credentials.

    Parameters
    ----------
    derived_bucket
        Where the JPEGs are that were made for the endpoint; empty where the stack makes none.
    of_stack
        Returns the thumbnail that the stack makes of a picture; None where it can't now. Raises `NoPreviewError` where
        there can be none.
    """

    def __init__(
        self, client: S3Client, derived_bucket: str, of_stack: Callable[[Stored], bytes | None] = lambda _: None
    ) -> None:
        self._client = client
        self._derived_bucket = derived_bucket
        self._of_stack = of_stack
        self._thumbnails = _Cache(CACHE_BYTES)
        self._decoders = BoundedSemaphore(_DECODERS)

    def open(self, image: Stored) -> Opened:
        """Open a picture.

        Raises
        ------
        NoPreviewError
            No browser shows it, and no JPEG was made of it.
        NotFoundError
            It is not in the bucket any more.
        """
        version = {"VersionId": image.version_id} if image.version_id else {}
        opened = self._get(image.bucket, image.key, **version)
        if opened is None and self._derived_bucket:
            opened = self._get(self._derived_bucket, f"renditions/{image.etag}-{image.size}")
        if opened is None:
            raise NoPreviewError("No browser shows a file of this kind.", "Download it from the bucket to see it.")
        return opened

    def thumbnail(self, image: Stored) -> bytes:
        """Return a WebP of at most 512 px; see `open` for what is raised."""
        found = self._thumbnails.get(image)
        if found is None:
            found = self._of_stack(image)
            if found is None:
                with self._decoders:
                    found = self._thumbnails.get(image) or _thumbnail(self.open(image))
            self._thumbnails.put(image, found)
        return found

    def _get(self, bucket: str, key: str, **version: Any) -> Opened | None:
        """Open an object; None where no browser shows it."""
        with readable_errors():
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key, **version)
            except ClientError as error:
                if error_code(error) not in _GONE:
                    raise
                if bucket == self._derived_bucket:
                    return None
                raise NotFoundError(
                    "The picture is not in the bucket any more.", "Its record goes, too, soon."
                ) from error
        body = answer["Body"]
        first = body.read(HEAD_BYTES)
        content_type = _SHOWN.get(image_type(first) or "")
        if content_type is None:
            body.close()
            return None
        return Opened(content_type, answer["ContentLength"], _chunks(first, body))


def _chunks(first: bytes, body: StreamingBody) -> Iterator[bytes]:
    try:
        yield first
        yield from body.iter_chunks(_CHUNK_BYTES)
    finally:
        body.close()


def _thumbnail(opened: Opened) -> bytes:
    if opened.size > MAX_THUMBNAIL_SOURCE_BYTES:
        raise NoPreviewError("The file is too large for a thumbnail.", "Open the picture itself.")
    source, webp = BytesIO(b"".join(opened.chunks)), BytesIO()
    kind = opened.content_type.removeprefix("image/").upper()
    try:
        with Image.open(source, formats=[kind]) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise NoPreviewError("The picture has too many pixels for a thumbnail.", "Open the picture itself.")
            picture.draft("RGB", (THUMBNAIL_SIDE, THUMBNAIL_SIDE))  # of a JPEG no more is decoded than is needed
            picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=2.0)
            upright = ImageOps.exif_transpose(picture)
            upright.convert("RGBA" if upright.has_transparency_data else "RGB").save(webp, "WEBP", quality=80)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise NoPreviewError("The picture can't be decoded.", "Open the picture itself, or download it.") from error
    return webp.getvalue()


class _Cache:
    """Keeps what was used last, up to so many bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Stored, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, image: Stored) -> bytes | None:
        with self._lock, suppress(KeyError):
            self._kept.move_to_end(image)
            return self._kept[image]
        return None

    def put(self, image: Stored, thumbnail: bytes) -> None:
        with self._lock:
            self._bytes += len(thumbnail) - len(self._kept.pop(image, b""))
            self._kept[image] = thumbnail
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._kept.popitem(last=False)[1])
