"""Where a job's objects come from, a page at a time: the bucket's listing, S3 Inventory's manifest, a list of keys.

Each goes on from any checkpoint of its own, so that a run that died costs no more than the page that it was at.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, cast
from urllib.parse import unquote_plus

from imagescribe.aws.s3_listing import PAGE, list_page
from imagescribe.errors import ImageScribeError
from imagescribe.model.listing import Listed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_MANIFEST_BYTES: Final = 64 * 2**20
MAX_KEY_BYTES: Final = 1_024


class ManifestError(ImageScribeError):
    """A manifest can't be used."""


@dataclass(frozen=True, slots=True)
class SourcePage:
    """A page of objects.

    Attributes
    ----------
    checkpoint
        Where the next page begins; None where there is none.
    """

    objects: list[Listed]
    checkpoint: str | None


class Source(Protocol):
    """Where objects come from."""

    @property
    def is_current(self) -> bool:
        """Whether it tells of objects as they are now."""
        ...

    def page(self, checkpoint: str) -> SourcePage:
        """Return the page at a checkpoint; the empty one is the beginning."""
        ...


@dataclass(frozen=True, slots=True)
class ListingSource:
    """The bucket's own listing. Its checkpoint is the last key that was listed."""

    client: S3Client
    bucket: str
    prefix: str
    is_current: bool = True

    def page(self, checkpoint: str) -> SourcePage:
        """Return the page at a checkpoint."""
        objects, more = list_page(self.client, self.bucket, self.prefix, checkpoint)
        return SourcePage(objects, objects[-1].key if more and objects else None)


class ManifestSource:
    """S3 Inventory's CSV manifest, or a list of keys, one a line. Its checkpoint is ``file:row``.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html

    Parameters
    ----------
    address
        ``s3://bucket/key``; a key that ends with ``manifest.json`` is S3 Inventory's.
    bucket, prefix
        Of the objects: others in the list are left out.

    Raises
    ------
    ManifestError
        It is of another bucket, or in another format; raised by a page, too.
    """

    is_current = False

    def __init__(self, client: S3Client, address: str, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._place, _, self._key = address.removeprefix("s3://").partition("/")
        self._columns: list[str] = []
        self._files = [self._key]
        if self._key.endswith("manifest.json"):
            self._read_manifest()
        self._rows: Iterator[Listed | None] = iter(())
        self._at = ""

    def page(self, checkpoint: str) -> SourcePage:
        """Return the page at a checkpoint."""
        number, row = map(int, (checkpoint or "0:0").split(":"))
        if checkpoint != self._at or not checkpoint:
            self._rows = self._read(self._files[number])
            _skip(self._rows, row)
        rows = list(islice(self._rows, PAGE))
        if len(rows) == PAGE:
            self._at = f"{number}:{row + PAGE}"
        else:
            self._at = f"{number + 1}:0" if number + 1 < len(self._files) else ""
            self._rows = self._read(self._files[number + 1]) if self._at else iter(())
        objects = [listed for listed in rows if listed is not None and listed.key.startswith(self._prefix)]
        return SourcePage(objects, self._at or None)

    def _read_manifest(self) -> None:
        with closing(self._client.get_object(Bucket=self._place, Key=self._key)["Body"]) as body:
            text = body.read(MAX_MANIFEST_BYTES)
        try:
            manifest = json.loads(text)
            source, form, files = manifest["sourceBucket"], manifest["fileFormat"], manifest["files"]
            self._files = [each["key"] for each in files]
            self._columns = [column.strip() for column in manifest["fileSchema"].split(",")] if form == "CSV" else []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ManifestError(f"{self._key} is no manifest of S3 Inventory: {error!r}") from None
        if source != self._bucket:
            raise ManifestError(f"the manifest is of the bucket {source}, and the stack's is {self._bucket}")
        if form != "CSV" or "Key" not in self._columns:
            raise ManifestError(f"the manifest's files are {form}; only CSV with the column Key is read")
        if not self._files:
            raise ManifestError("the manifest names no files")

    def _read(self, key: str) -> Iterator[Listed | None]:
        """Yield the rows of a file, None for those that tell of no object of ours."""
        try:
            yield from self._rows_of(key)
        except (ValueError, KeyError, EOFError, gzip.BadGzipFile, zlib.error, csv.Error) as error:
            raise ManifestError(f"{key} can't be read: {error}") from error

    def _rows_of(self, key: str) -> Iterator[Listed | None]:
        body = self._client.get_object(Bucket=self._place, Key=key)["Body"]
        with closing(body):
            raw = cast("IO[bytes]", gzip.GzipFile(fileobj=body)) if key.endswith(".gz") else cast("IO[bytes]", body)
            if self._columns:
                for row in csv.reader(TextIOWrapper(raw, encoding="utf-8", newline="")):
                    yield self._of_row(dict(zip(self._columns, row, strict=False)))
            else:
                for line in _lines(raw):
                    yield Listed(line, "", -1, "") if 0 < len(line.encode()) <= MAX_KEY_BYTES else None

    def _of_row(self, row: dict[str, Any]) -> Listed | None:
        if row.get("Bucket", self._bucket) != self._bucket or row.get("IsLatest", "true") == "false":
            return None
        if row.get("IsDeleteMarker", "false") == "true":
            return None
        return Listed(
            key=unquote_plus(row["Key"]),  # encoded as in a form, spaces as plus signs
            etag=row.get("ETag", "").strip('"'),
            size=int(row.get("Size") or -1),
            modified_at=row.get("LastModifiedDate", ""),
            storage_class=row.get("StorageClass") or "STANDARD",
        )


def source_of(client: S3Client, bucket: str, prefix: str, manifest: str) -> Source:
    """Return the source of a job's objects.

    Raises
    ------
    ManifestError
        The manifest can't be used.
    """
    return ManifestSource(client, manifest, bucket, prefix) if manifest else ListingSource(client, bucket, prefix)


def _lines(raw: IO[bytes]) -> Iterator[str]:
    """Yield lines as they are but for their end: a key may begin or end with a space."""
    rest = b""
    while chunk := raw.read(2**16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode() for line in lines)
    if rest:
        yield rest.removesuffix(b"\r").decode()


def _skip(rows: Iterator[Listed | None], count: int) -> None:
    next(islice(rows, count, count), None)
