"""The bucket's objects: look at one, presign it, read and write its tags.

boto3 presigns with SigV2 in some regions unless told otherwise, and without the virtual host addressing a bucket in
another region answers 307; CLIENT_CONFIG sets both. A presigned URL dies with the role's session that signed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.config import Config
from botocore.exceptions import ClientError

from imagescribe.model.tags import TagState, merge

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

    from imagescribe.model.events import ObjectEvent, Upload

CLIENT_CONFIG: Final = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})

URL_LIFE_SECONDS: Final = 300
"""The provider may store what it is sent, so the URL lives little longer than a call."""

HEAD_BYTES: Final = 16
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404", "MethodNotAllowed"})


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the bucket under a key now.

    Attributes
    ----------
    version_id
        None where the object can be overwritten in place.
    head
        The first bytes, at most HEAD_BYTES.
    """

    etag: str
    size: int
    version_id: str | None
    head: bytes


def unfit(found: Found, max_bytes: int) -> str | None:
    """Say why the endpoint would not take an object, or return None where it would. Suffixes are not believed."""
    if found.size == 0:
        return "the object is empty"
    if image_type(found.head) is None:
        return "not a JPEG, PNG or WebP image (by its first bytes)"
    if found.size > max_bytes:
        return f"{found.size:,} bytes, and MaxImageBytes is {max_bytes:,}"
    return None


def image_type(head: bytes) -> str | None:
    """Return ``jpeg``, ``png`` or ``webp`` by the magic bytes, or None."""
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


class Objects:
    """The objects of the bucket, through S3."""

    def __init__(self, client: S3Client) -> None:
        self._client = client

    def inspect(self, event: ObjectEvent) -> Found | None:
        """Look at what is under the key now, with one ranged GET. None where nothing is, or a delete marker."""
        try:
            answer = self._client.get_object(Bucket=event.bucket, Key=event.key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        except ClientError as error:
            code = error_code(error)
            if code in _MISSING:
                return None
            if code == "InvalidRange":  # an empty object has no byte 0
                return self.look(event.bucket, event.key)
            raise
        with answer["Body"] as body:
            head = body.read()
        size = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else len(head)
        return Found(_bare(answer["ETag"]), size, _pinned(answer.get("VersionId")), head)

    def look(self, bucket: str, key: str) -> Found | None:
        """Look at what is under a key now without its bytes. None where nothing is, or a delete marker."""
        try:
            answer = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error_code(error) in _MISSING:
                return None
            raise
        return Found(_bare(answer["ETag"]), answer["ContentLength"], _pinned(answer.get("VersionId")), b"")

    def presign(self, upload: Upload) -> str:
        """Return a URL that reads this upload, for URL_LIFE_SECONDS. It is a secret while it lives."""
        url = self._client.generate_presigned_url(
            "get_object", Params=_address(upload), ExpiresIn=URL_LIFE_SECONDS, HttpMethod="GET"
        )
        path, question_mark, query = url.partition("?")
        return "/".join(map(_undotted, path.split("/"))) + question_mark + query

    def tag(self, upload: Upload, key: str, value: str) -> TagState | None:
        """Set one tag and keep all others.

        S3 replaces a tag set as a whole and has no conditional form of it, so the set is read right before it is
        written; if it can't be read it is not written, for that would erase it.

        Returns
        -------
        TagState or None
            None where the object is gone.
        """
        address = _address(upload)
        try:
            present = {tag["Key"]: tag["Value"] for tag in self._client.get_object_tagging(**address)["TagSet"]}
            tags = merge(present, key, value)
            if tags is None:
                return TagState.FULL
            if tags != present:
                tag_set: list[TagTypeDef] = [{"Key": name, "Value": text} for name, text in tags.items()]
                self._client.put_object_tagging(**address, Tagging={"TagSet": tag_set})
        except ClientError as error:
            if error_code(error) in _MISSING:
                return None
            if error_code(error) == "AccessDenied":
                return TagState.DENIED
            raise
        return TagState.WRITTEN


def error_code(error: ClientError) -> str:
    """Return the service's code of an error, such as ``NoSuchKey``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _address(upload: Upload) -> dict[str, Any]:
    version = {"VersionId": upload.version_id} if upload.version_id is not None else {}
    return {"Bucket": upload.bucket, "Key": upload.key, **version}


def _undotted(segment: str) -> str:
    # HTTP clients take "." and ".." out of a path (RFC 3986, section 5.2.4) and so would fetch another object. A dot
    # may be encoded in a path without changing what it names or its signature.
    return segment.replace(".", "%2E") if segment in (".", "..") else segment


def _bare(etag: str) -> str:
    return etag.strip('"')


def _pinned(version_id: str | None) -> str | None:
    return version_id if version_id and version_id != "null" else None
