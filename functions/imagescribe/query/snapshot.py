"""The snapshot of the index on S3: where it is kept, how it is fetched, and how a newer one takes its place.

It is put there on condition that the one before is still the one that was there when the work began. Of two that are
made at once, the first to be done stands, and the other is dropped: both are complete until about the same time.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import error_code
from imagescribe.query.index_file import FORMAT

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY: Final = f"search/index-{FORMAT}.sqlite"
"""The format stands in the name, so that a query function of another release never opens what it can't read."""

_ABANDONED_SECONDS: Final = 60.0
"""After which nobody writes to a part any more: the query function has 29 s."""

_PART_BYTES: Final = 8 * 2**20
_SIDE_BY_SIDE: Final = 8
_MISSING: Final = frozenset({"NoSuchKey", "404"})
_UNCHANGED: Final = frozenset({"NotModified", "304"})
_OVERTAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


@dataclass(frozen=True, slots=True)
class Standing:
    """The snapshot that stands.

    Attributes
    ----------
    complete_until
        Milliseconds since 1970.
    """

    etag: str
    images: int
    complete_until: int


class Snapshots:
    """The snapshot's place on S3."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def standing(self) -> Standing | None:
        """Return what is known of the snapshot that stands; None where there is none."""
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=KEY)
        except ClientError as error:
            if error_code(error) in _MISSING:
                return None
            raise
        facts = head["Metadata"]
        return Standing(head["ETag"], int(facts["images"]), int(facts["complete-until"]))

    def replace(self, path: Path, standing: Standing | None, *, images: int, complete_until: int) -> bool:
        """Put a snapshot in the place of the one that stood; False where another one was quicker."""
        condition: dict[str, Any] = {"IfMatch": standing.etag} if standing else {"IfNoneMatch": "*"}
        facts = {"images": str(images), "complete-until": str(complete_until)}
        try:
            with path.open("rb") as body:
                self._client.put_object(Bucket=self._bucket, Key=KEY, Body=body, Metadata=facts, **condition)
        except ClientError as error:
            if error_code(error) in _OVERTAKEN:
                return False
            raise
        return True

    def fetch(self, path: Path, etag: str = "") -> str:
        """Write the snapshot to a path and return its ETag, if it is another than the one with this ETag.

        Returns
        -------
        str
            The ETag of what was written; the given one where the snapshot is still that; empty where there is none.
        """
        condition: dict[str, Any] = {"IfNoneMatch": etag} if etag else {}
        try:
            first = self._client.get_object(
                Bucket=self._bucket, Key=KEY, Range=f"bytes=0-{_PART_BYTES - 1}", **condition
            )
        except ClientError as error:
            if error_code(error) in _UNCHANGED:
                return etag
            if error_code(error) in _MISSING:
                return ""
            raise
        size = int(first["ContentRange"].rpartition("/")[2])
        _remove_abandoned(path)
        part = path.with_suffix(f".{os.getpid()}")
        try:
            with part.open("wb") as file:
                file.truncate(size)
                file.write(first["Body"].read())
            with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
                list(
                    pool.map(
                        lambda at: self._fetch_part(part, at, first["ETag"]), range(_PART_BYTES, size, _PART_BYTES)
                    )
                )
            part.rename(path)
        finally:
            with suppress(FileNotFoundError):
                part.unlink()
        return first["ETag"]

    def _fetch_part(self, path: Path, start: int, etag: str) -> None:
        answer = self._client.get_object(
            Bucket=self._bucket, Key=KEY, Range=f"bytes={start}-{start + _PART_BYTES - 1}", IfMatch=etag
        )
        with path.open("r+b") as file:
            file.seek(start)
            file.write(answer["Body"].read())


def _remove_abandoned(path: Path) -> None:
    """Remove what processes left that were killed while they fetched: Lambda keeps /tmp when it starts a new one."""
    for part in path.parent.glob(f"{path.stem}.*"):
        with suppress(FileNotFoundError):
            if part != path and time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                part.unlink()
