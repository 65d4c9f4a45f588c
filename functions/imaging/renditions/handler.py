r"""The imaging function: one picture, made of one object of the image bucket and put into the bucket of derived ones.

The event::

    {"rendition": {"bucket": "…", "key": "…", "version_id": "…" or null, "etag": "…", "content": "ETAG-SIZE",
                   "max_bytes": 10485760}}
    {"thumbnail": {the same without max_bytes}}

The answer says where the picture is, and whether it was made just now: ``{"bucket": "…", "key": "renditions/ETAG-SIZE",
"is_new": true}``; or ``{"unfit": "why no picture can be made of it"}``. Whatever else goes wrong is raised.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from renditions import pictures, sandbox
from renditions.pictures import UnfitError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_SOURCE_BYTES: Final = 200_000_000
"""Downloaded into /tmp, which holds 512 MB."""

_CHUNK_BYTES: Final = 1 << 20
_GONE: Final = frozenset({"NoSuchKey", "NoSuchVersion", "NoSuchBucket", "PreconditionFailed", "412", "404"})

logger = logging.getLogger("renditions")

_s3: S3Client = boto3.client(
    "s3",
    config=Config(
        connect_timeout=2,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 3},
        signature_version="s3v4",
        s3={"addressing_style": "virtual"},
    ),
)
_derived_bucket = os.environ["IMAGESCRIBE_DERIVED_BUCKET"]


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Make what is asked for, unless it is there."""
    ((kind, source),) = event.items()
    match kind:
        case "rendition":
            key, content_type, max_bytes = f"renditions/{source['content']}", "image/jpeg", int(source["max_bytes"])
            make = partial(pictures.rendition, max_bytes=max_bytes)
        case "thumbnail":
            key, content_type, max_bytes = f"thumbnails/{source['content']}", "image/webp", MAX_SOURCE_BYTES
            make = partial(pictures.thumbnail)
        case _:
            raise ValueError(f"nothing is known of how to make a {kind}")
    if _is_there(key, max_bytes):
        return {"bucket": _derived_bucket, "key": key, "is_new": False}
    try:
        with TemporaryFile() as file:  # without a name, as Lambda keeps /tmp where it ends a function in the middle
            _download(source, file)
            made = sandbox.run(partial(make, file))
    except UnfitError as unfit:
        logger.info("unfit", extra={"key": source["key"], "reason": str(unfit)})
        return {"unfit": str(unfit)}
    _s3.put_object(Bucket=_derived_bucket, Key=key, Body=made, ContentType=content_type)
    return {"bucket": _derived_bucket, "key": key, "is_new": True}


def _is_there(key: str, max_bytes: int) -> bool:
    try:
        return _s3.head_object(Bucket=_derived_bucket, Key=key)["ContentLength"] <= max_bytes
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return False
        raise


def _download(source: dict[str, Any], file: IO[bytes]) -> None:
    """Write the object into a file, if it is still the one that is meant."""
    version = {"VersionId": source["version_id"]} if source["version_id"] else {}
    try:
        answer = _s3.get_object(Bucket=source["bucket"], Key=source["key"], IfMatch=source["etag"], **version)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            raise UnfitError("it was deleted or overwritten meanwhile") from None
        raise
    if answer["ContentLength"] > MAX_SOURCE_BYTES:
        raise UnfitError(f"{answer['ContentLength']:,} bytes, and no more than {MAX_SOURCE_BYTES:,} are converted")
    with answer["Body"] as body:
        copyfileobj(body, file, _CHUNK_BYTES)
    file.seek(0)
