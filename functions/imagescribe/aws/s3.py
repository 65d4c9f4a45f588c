"""The bucket's objects: inspect one, presign it, read and write its tags.

boto3 presigns with SigV2 in some regions unless told otherwise, and without the virtual host addressing a bucket in
another region answers 307; CLIENT_CONFIG sets both. A presigned URL dies with the role's session that signed it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol

from botocore.config import Config
from botocore.exceptions import ClientError

from imagescribe.errors import OutOfTimeError
from imagescribe.model.events import Upload
from imagescribe.model.kinds import TAKEN, image_type, refusal

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

    from imagescribe.model.events import ObjectEvent
    from imagescribe.model.tags import OurTags, Tagging

CLIENT_CONFIG: Final = Config(signature_version="s3v4", s3={"addressing_style": "virtual"})

URL_LIFE_SECONDS: Final = 300
"""The provider may store what it is sent, so the URL lives little longer than a call."""

HEAD_BYTES: Final = 256
"""Enough to tell what a file is: HEIF's brands stand in a list, and SVG after what XML begins with."""

MAX_SOURCE_BYTES: Final = 200_000_000
"""Of a larger object no rendition is made."""

_ARCHIVED: Final = "archived (S3 Glacier): restore it, then run `imagescribe retry`"
_CUSTOMER_KEY: Final = "encrypted with a key that only its owner has (SSE-C)"
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "404", "MethodNotAllowed"})


class Addressed(Protocol):
    """An object that can be asked for."""

    @property
    def bucket(self) -> str:
        """Its name."""

    @property
    def key(self) -> str:
        """As S3 knows it, not quoted."""

    @property
    def version_id(self) -> str | None:
        """None where the bucket keeps no versions."""


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What is in the bucket under a key now.

    Attributes
    ----------
    version_id
        None where the object can be overwritten in place.
    first_bytes
        At most HEAD_BYTES; none where only the head was asked for.
    unreadable
        Why the object can't be read, empty where it can.
    """

    etag: str
    size: int
    version_id: str | None
    first_bytes: bytes = b""
    unreadable: str = ""


def skip_reason(head: ObjectHead, max_bytes_as_it_is: int) -> str | None:
    """Say why an object can't be described, or return None where it can, as it is or as a rendition."""
    if head.unreadable:
        return head.unreadable
    if head.size == 0:
        return "the object is empty"
    if reason := refusal(head.first_bytes):
        return reason
    if rendered_from(head, max_bytes_as_it_is) and head.size > MAX_SOURCE_BYTES:
        return f"{head.size:,} bytes, and no more than {MAX_SOURCE_BYTES:,} are converted"
    return None


def rendered_from(head: ObjectHead, max_bytes_as_it_is: int) -> str | None:
    """Return the kind of an image that the endpoint does not get as it is; None where it does."""
    kind = image_type(head.first_bytes)
    return kind if kind not in TAKEN or head.size > max_bytes_as_it_is else None


class Objects:
    """The objects of the bucket, through S3."""

    def __init__(self, client: S3Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    def inspect(self, event: ObjectEvent) -> ObjectHead | None:
        """Return what is under the key now, with one ranged GET. None where nothing is, or a delete marker."""
        try:
            answer = self._client.get_object(Bucket=event.bucket, Key=event.key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        except ClientError as error:
            if error_code(error) == "InvalidRange":  # an empty object has no byte 0
                return self.head(event)
            return self._unreadable(event, error)
        with answer["Body"] as body:
            first_bytes = body.read()
        size = int(answer["ContentRange"].rpartition("/")[2]) if "ContentRange" in answer else len(first_bytes)
        return ObjectHead(_bare(answer["ETag"]), size, _pinned(answer.get("VersionId")), first_bytes)

    def head(self, event: ObjectEvent) -> ObjectHead | None:
        """Return what is under the key now, without its bytes. None where nothing is, or a delete marker."""
        try:
            answer = self._client.head_object(Bucket=event.bucket, Key=event.key)
        except ClientError as error:
            return self._unreadable(event, error)
        return ObjectHead(_bare(answer["ETag"]), answer["ContentLength"], _pinned(answer.get("VersionId")))

    def _unreadable(self, event: ObjectEvent, error: ClientError) -> ObjectHead | None:
        """Return what can be said of an object that S3 does not give out; other errors are raised again."""
        code = error_code(error)
        if code in _MISSING:
            return None
        if code == "InvalidObjectState":
            found = self.head(event)  # the head of an archived object can be read
            return found and replace(found, unreadable=_ARCHIVED)
        # S3 says no more of an object encrypted with SSE-C to whoever has not its key, of a HEAD not even that.
        is_encrypted = code == "400" or (code == "InvalidRequest" and "ncryption" in str(error))
        if is_encrypted and isinstance(event, Upload):
            return ObjectHead(event.etag, event.size, event.version_id, unreadable=_CUSTOMER_KEY)
        raise error

    def presign(self, stored: Addressed) -> str:
        """Return a URL that reads this object, for URL_LIFE_SECONDS. It is a secret while it lives."""
        return presigned_url(self._client, **_address(stored))

    def tag(self, upload: Upload, ours: OurTags, deadline: float = inf) -> Tagging | None:
        """Set our tags and keep all others.

        S3 replaces a tag set as a whole and has no conditional form of it, so the set is read right before it is
        written; if it can't be read it is not written, for that would erase it.

        Parameters
        ----------
        deadline
            Epoch seconds after which nothing is written: a thread may be frozen with its process between two requests,
            and what is under the key by the time it thaws, nobody knows.

        Returns
        -------
        Tagging or None
            None where the object is gone.

        Raises
        ------
        OutOfTimeError
            The deadline is over.
        """
        address = _address(upload)
        try:
            present = {tag["Key"]: tag["Value"] for tag in self._client.get_object_tagging(**address)["TagSet"]}
            tagging = ours.among(present)
            if tagging.tags != present:
                if self._clock() > deadline:
                    raise OutOfTimeError("the invocation was over before the tag could be written")
                tag_set: list[TagTypeDef] = [{"Key": name, "Value": text} for name, text in tagging.tags.items()]
                self._client.put_object_tagging(**address, Tagging={"TagSet": tag_set})
        except ClientError as error:
            if error_code(error) in _MISSING:
                return None
            if error_code(error) == "AccessDenied":
                return ours.denied()
            raise
        return tagging


def presigned_url(client: S3Client, **address: str) -> str:
    """Return a URL that reads what is under ``Bucket``, ``Key`` and ``VersionId``, for URL_LIFE_SECONDS."""
    url = client.generate_presigned_url("get_object", Params=address, ExpiresIn=URL_LIFE_SECONDS, HttpMethod="GET")
    path, question_mark, query = url.partition("?")
    return "/".join(map(_undotted, path.split("/"))) + question_mark + query


def error_code(error: ClientError) -> str:
    """Return the service's code of an error, such as ``NoSuchKey``."""
    return str(error.response.get("Error", {}).get("Code", ""))


def _address(stored: Addressed) -> dict[str, Any]:
    version = {"VersionId": stored.version_id} if stored.version_id is not None else {}
    return {"Bucket": stored.bucket, "Key": stored.key, **version}


def _undotted(segment: str) -> str:
    # HTTP clients take "." and ".." out of a path (RFC 3986, section 5.2.4) and so would fetch another object. A dot
    # may be encoded in a path without changing what it names or its signature.
    return segment.replace(".", "%2E") if segment in (".", "..") else segment


def _bare(etag: str) -> str:
    return etag.strip('"')


def _pinned(version_id: str | None) -> str | None:
    return version_id if version_id and version_id != "null" else None
